-- The queue in numbers. Returns the counters, the time in ms, and for each priority the first undelivered entry or ''.
local answer = {redis.call('HGETALL', counters_key), now}
for _, priority in ipairs(PRIORITIES) do
  local stream = stream_key(priority)
  local facts = facts_of(stream)
  local delivered = facts and facts['last-delivered-id'] or '0-0'
  local found = redis.call('XRANGE', stream, '(' .. delivered, '+', 'COUNT', 1)
  answer[#answer + 1] = found[1] and found[1][1] or ''
end
return answer
