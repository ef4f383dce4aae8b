-- Hands new jobs to a worker, the first priority's first. ARGV: worker, count, stored bytes and share of the server
--   above which bulk waits, priority, the other priority
-- Returns whether bulk waits, then id, entry and priority of each.
local worker, left, found, bulk_waits = ARGV[1], tonumber(ARGV[2]), {}, 0

local function new_entries(stream)
  local answer = redis.pcall('XREADGROUP', 'GROUP', GROUP, worker, 'COUNT', left, 'STREAMS', stream, '>')
  if answer and answer.err then
    make_groups()
    answer = redis.call('XREADGROUP', 'GROUP', GROUP, worker, 'COUNT', left, 'STREAMS', stream, '>')
  end
  return answer and answer[1][2] or {}
end

for at = 5, 6 do
  if has_to_wait(ARGV[at], ARGV[3], ARGV[4]) then
    bulk_waits = 1
  elseif left > 0 then
    local entries = new_entries(stream_key(ARGV[at]))
    left = left - #entries
    for _, entry in ipairs(entries) do
      for _, part in ipairs({entry[2][2], entry[1], ARGV[at]}) do found[#found + 1] = part end
    end
  end
end
return {bulk_waits, found}
