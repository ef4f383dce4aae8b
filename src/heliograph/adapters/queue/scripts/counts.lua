-- The queue in numbers. Returns the counters, the time in ms, how many jobs took how long by bin, and for each priority
-- the first undelivered entry or ''.
for back = 0, SPANS_BEFORE do
  local counts = redis.call('HGETALL', durations_key(span - back))
  for i = 1, #counts, 2 do add(took, counts[i], counts[i + 1]) end
end
local durations = {}
for bin, jobs in pairs(took) do
  durations[#durations + 1] = bin
  durations[#durations + 1] = jobs
end
local answer = {redis.call('HGETALL', counters_key), now, durations}
for _, priority in ipairs(PRIORITIES) do
  local stream = stream_key(priority)
  local facts = facts_of(stream)
  local delivered = facts and facts['last-delivered-id'] or '0-0'
  local found = redis.call('XRANGE', stream, '(' .. delivered, '+', 'COUNT', 1)
  answer[#answer + 1] = found[1] and found[1][1] or ''
end
return answer
