-- Takes the jobs of a request in, all or none. A full server refuses the first write, before anything is stored.
-- ARGV: group, owner, priority, reply, idempotency key, fingerprint, max jobs, max bytes, max share of the server,
--       share of each bound, memory ms, bytes that a job counts beside its payload, then for each job: id, name,
--       model, parameters, payload, bytes elsewhere
-- Returns outcome, detail, by how much over the bound, the bound, how many jobs are open, how many were settled.
local group, owner, priority, reply = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local idempotency, fingerprint, share, memory_ms = ARGV[5], ARGV[6], ARGV[10], ARGV[11]
local first, step = 13, 6

local jobs, bytes, bytes_here = (#ARGV - first + 1) / step, 0, 0
for at = first, #ARGV, step do
  bytes_here = bytes_here + #ARGV[at + 4]
  bytes = bytes + ARGV[at + 5]
end
bytes = bytes + bytes_here
local counted_now = redis.call('HMGET', counters_key, 'queued:interactive', 'queued:bulk', 'running:interactive',
  'running:bulk', 'done', 'failed', 'dead', 'cancelled', 'bytes', 'accepted', 'expired')
for i = 1, #counted_now do counted_now[i] = tonumber(counted_now[i]) or 0 end
local open = counted_now[1] + counted_now[2] + counted_now[3] + counted_now[4]
local settled = counted_now[5] + counted_now[6] + counted_now[7] + counted_now[8]
local kept = counted_now[10] - counted_now[11]

if redis.call('EXISTS', group_key(group)) == 1 then
  return {'new', group, 0, 0, open, settled} -- the same call again, whose answer was lost on the way
end
if idempotency ~= '' then
  local known = redis.call('HMGET', idempotency_key(idempotency), 'group', 'fingerprint')
  if known[1] then
    return {known[2] == fingerprint and 'known' or 'conflict', known[1], 0, 0, open, settled}
  end
end

local function over(what, used, bound)
  if used > bound then return {'full', what, math.ceil(used - bound), math.ceil(bound), open, settled} end
end
local memory, limit = memory_of_server()
local refused = over('jobs', open + jobs, ARGV[7] * share)
  or over('bytes', counted_now[9] + bytes + (kept + jobs) * ARGV[12], ARGV[8] * share)
  or limit > 0 and over('memory', memory + bytes_here, limit * ARGV[9] * share)
if refused then return refused end

local stream = stream_key(priority)
local sequence = redis.call('HINCRBY', counters_key, 'sequence', jobs) - jobs
if redis.call('EXISTS', stream_key('interactive'), stream_key('bulk')) < 2 then make_groups() end
redis.call('HSET', group_key(group), 'owner', owner, 'queued', jobs, 'known', jobs)
local ids, ranks = {}, {}
for at = first, #ARGV, step do
  local id = ARGV[at]
  redis.call('SET', payload_key(id), ARGV[at + 4])
  local entry = redis.call('XADD', stream, '*', 'job', id)
  redis.call('HSET', job_key(id), 'state', 'queued', 'group', group, 'owner', owner, 'priority', priority,
    'reply', reply, 'name', ARGV[at + 1], 'model', ARGV[at + 2], 'parameters', ARGV[at + 3],
    'size', #ARGV[at + 4] + ARGV[at + 5], 'entry', entry, 'accepted', now, 'attempts', 0)
  sequence = sequence + 1
  ids[#ids + 1] = id
  ranks[#ranks + 1] = sequence
  ranks[#ranks + 1] = id
  tell('accepted', {id = id, group = group, owner = owner})
end
call_with(ids, 'RPUSH', members_key(group))
call_with(ranks, 'ZADD', everybody_key)
call_with(ranks, 'ZADD', index_key(owner))
if idempotency ~= '' then
  redis.call('HSET', idempotency_key(idempotency), 'group', group, 'fingerprint', fingerprint)
  redis.call('PEXPIRE', idempotency_key(idempotency), memory_ms)
end
count('queued:' .. priority, jobs)
count('accepted', jobs)
count('bytes', bytes)
write_notes()
return {'new', group, 0, 0, open + jobs, settled}
