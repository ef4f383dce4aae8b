-- Hands a worker what nobody holds, what others let run out, and what waits for a model that it has. One call looks at
-- some 200 leases of a stream: many workers ask, and together they see all.
-- ARGV: worker, count, lease ms, stored bytes and share of the server above which bulk waits, how many models, each of
--   them, then for each stream: priority, the lease at which the last call stopped
-- Returns where this one stopped in each stream, then id, entry, priority and attempts so far of each job.
local worker, left, lease, models = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[6])
local stops, found = {}, {}

local function take(stream, priority, entries)
  local taken = #entries > 0 and redis.call('XCLAIM', stream, GROUP, worker, 0, unpack(entries)) or {}
  left = left - #taken
  for _, entry in ipairs(taken) do
    local id = entry[2][2]
    local attempts = redis.call('HGET', job_key(id), 'attempts') or 0
    for _, part in ipairs({id, entry[1], priority, attempts}) do found[#found + 1] = part end
  end
end

local function take_from(consumer, stream, priority)
  if left == 0 then return end
  local held, entries = redis.call('XPENDING', stream, GROUP, '-', '+', left, consumer), {}
  for i, one in ipairs(held) do entries[i] = one[1] end
  take(stream, priority, entries)
end

local function is_lapsed(consumer, idle_ms)
  return idle_ms >= lease and consumer:sub(1, #WAITING_FOR) ~= WAITING_FOR
end

-- From where the last call stopped, and from the beginning once the end is reached. Returns where this one stops.
local function take_lapsed(stream, priority, stop)
  local looks = 200
  repeat
    local from_beginning, entries, looked = stop == '0-0', {}, 0
    local held = redis.call('XPENDING', stream, GROUP, from_beginning and '-' or '(' .. stop, '+', looks)
    for _, one in ipairs(held) do
      looked, stop = looked + 1, one[1]
      if is_lapsed(one[2], one[3]) then entries[#entries + 1] = one[1] end
      if #entries == left then break end
    end
    if looked == #held and looked < looks then stop = '0-0' end
    looks = looks - looked
    take(stream, priority, entries)
  until from_beginning or left == 0 or looks == 0
  return stop
end

for at = 7 + models, #ARGV, 2 do
  local priority, stop = ARGV[at], ARGV[at + 1]
  local stream = stream_key(priority)
  if left > 0 and not has_to_wait(priority, ARGV[4], ARGV[5]) and facts_of(stream) then
    take_from(NOBODY, stream, priority)
    if left > 0 then stop = take_lapsed(stream, priority, stop) end
    for model = 7, 6 + models do take_from(WAITING_FOR .. ARGV[model], stream, priority) end
  end
  stops[#stops + 1] = stop
end
return {stops, found}
