-- What happened after an event. ARGV: its id, 0-0 for the beginning or '' for now; how many at most
-- Returns whether that place is known, the last id that was given, and what followed. An event that is not there may
-- have been trimmed with others behind it, or be of a stream that was lost.
local after, limit = ARGV[1], ARGV[2]
local stream = redis.pcall('XINFO', 'STREAM', events_key)
if stream.err then return {after == '0-0' and 1 or 0, '0-0', {}} end
local facts, known = named(stream), false
if after == '0-0' then
  known = facts['entries-added'] == facts.length
elseif after ~= '' then
  known = #redis.call('XRANGE', events_key, after, after) == 1
end
local found = known and redis.call('XRANGE', events_key, '(' .. after, '+', 'COUNT', limit) or {}
return {known and 1 or 0, facts['last-generated-id'], found}
