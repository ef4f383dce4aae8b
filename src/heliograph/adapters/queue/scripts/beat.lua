-- A worker says that it is there. ARGV: its name, its state, the rest of what it says
local worker, state, rest = ARGV[1], ARGV[2], ARGV[3]
local before = redis.call('HGET', workers_key, worker)
if redis.call('ZREM', lost_key, worker) == 1 then before = false end
redis.call('HSET', workers_key, worker, state .. ' ' .. rest)
redis.call('ZADD', beats_key, now, worker)
if not before then
  add_event('worker-up', worker, 'detail', state)
elseif before:match('^%S*') ~= state then
  add_event('worker-changed', worker, 'detail', state)
end
return 1
