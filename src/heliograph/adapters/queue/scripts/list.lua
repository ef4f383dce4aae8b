-- Jobs of one state in an index, newest first. It looks at so many of the index, whatever they are.
-- ARGV: the index, state, where it begins, how many jobs, how many to look at
-- Returns the rank behind which the next page begins, or '' at the end, then id and fields of each.
local index, state, limit, looked = ARGV[1], ARGV[2], tonumber(ARGV[4]), tonumber(ARGV[5])
local ranked = redis.call('ZREVRANGEBYSCORE', index, ARGV[3], '-inf', 'WITHSCORES', 'LIMIT', 0, looked)
local found, rest = {}, ''
for i = 1, #ranked, 2 do
  local id = ranked[i]
  if redis.call('HGET', job_key(id), 'state') == state then
    found[#found + 1] = id
    found[#found + 1] = redis.call('HGETALL', job_key(id))
  end
  if #found == 2 * limit or i + 1 == 2 * looked then
    rest = ranked[i + 1]
    break
  end
end
return {rest, found}
