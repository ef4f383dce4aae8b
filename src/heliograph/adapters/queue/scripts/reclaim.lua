-- Hands a worker what nobody holds, and what others let run out. One call looks at some 200 leases of a
-- stream: many workers ask, and together they see all.
-- ARGV: worker, count, lease ms, stored bytes and share of the server above which bulk waits, then for each stream:
--   priority, where the last call stopped
-- Returns where this one stopped in each stream, then id, entry, priority and attempts so far of each job.
local worker, left, lease = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local stops, found = {}, {}

local function take(entries, priority)
  left = left - #entries
  for _, entry in ipairs(entries) do
    local id = entry[2][2]
    local attempts = redis.call('HGET', job_key(id), 'attempts') or 0
    for _, part in ipairs({id, entry[1], priority, attempts}) do found[#found + 1] = part end
  end
end

-- What nobody holds; nothing at all where there is no such stream yet.
local function take_given(stream, priority)
  local given, entries = redis.pcall('XPENDING', stream, GROUP, '-', '+', left, NOBODY), {}
  if given.err then return false end
  for i, one in ipairs(given) do entries[i] = one[1] end
  if #entries > 0 then take(redis.call('XCLAIM', stream, GROUP, worker, 0, unpack(entries)), priority) end
  return true
end

for at = 6, #ARGV, 2 do
  local priority, stop, looked = ARGV[at], ARGV[at + 1], 0
  local from_beginning = stop == '0-0'
  local stream = stream_key(priority)
  if left > 0 and not has_to_wait(priority, ARGV[4], ARGV[5]) and take_given(stream, priority) then
    while left > 0 and looked < 200 do
      looked = looked + 10 * left -- the server looks at ten times as many as it is asked for
      local answer = redis.call('XAUTOCLAIM', stream, GROUP, worker, lease, stop, 'COUNT', left)
      stop = answer[1]
      take(answer[2], priority)
      if stop == '0-0' then
        if from_beginning then break end
        from_beginning = true
      end
    end
  end
  stops[#stops + 1] = stop
end
return {stops, found}
