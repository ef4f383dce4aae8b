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

-- From where the last call stopped, and from the beginning once the end is reached. Returns where this one stops. What
-- waits for a model is passed over, ten pages at most.
local function take_lapsed(stream, priority, stop)
  local looks, pages, has_wrapped = 200, 10, stop == '0-0'
  while left > 0 and looks > 0 and pages > 0 do
    local held = redis.call('XPENDING', stream, GROUP, stop == '0-0' and '-' or '(' .. stop, '+', 200)
    local entries, looked = {}, 0
    for _, one in ipairs(held) do
      looked, stop = looked + 1, one[1]
      if one[2]:sub(1, #WAITING_FOR) ~= WAITING_FOR then
        looks = looks - 1
        if one[3] >= lease then entries[#entries + 1] = one[1] end
      end
      if #entries == left or looks == 0 then break end
    end
    pages = pages - 1
    take(stream, priority, entries)
    if looked == #held and looked < 200 then
      stop = '0-0'
      if has_wrapped then break end
      has_wrapped = true
    end
  end
  return stop
end

local open = {}
for at = 7 + models, #ARGV, 2 do
  local priority, stop = ARGV[at], ARGV[at + 1]
  local stream = stream_key(priority)
  if left > 0 and not has_to_wait(priority, ARGV[4], ARGV[5]) and facts_of(stream) then
    open[#open + 1] = priority
    take_from(NOBODY, stream, priority)
    stop = take_lapsed(stream, priority, stop)
  end
  stops[#stops + 1] = stop
end
for _, priority in ipairs(open) do
  for at = 7, 6 + models do take_from(WAITING_FOR .. ARGV[at], stream_key(priority), priority) end
end
return {stops, found}
