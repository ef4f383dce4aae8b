-- A worker's last word on jobs. ARGV: worker, keep ms, then for each: id, token, event (finish, fail), and
--   for finish: result, media type, facts, bytes elsewhere; for fail: code, message, '', 0
-- Returns for each 1, or 0 if it was lost. The token stays, by which the same call again is known.
local worker, keep_ms = ARGV[1], tonumber(ARGV[2])
local answers = {}
for at = 3, #ARGV, 7 do
  local id, token, event = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local job = read_job(id, unpack(JOB))
  local mine = job.token == token and (job.state == 'running' or job.state == 'done' or job.state == 'failed')
  if mine and job.state == 'running' then
    if event == 'finish' then
      local size = #ARGV[at + 3] + ARGV[at + 6]
      if job.reply ~= '' and size <= 65536 then
        job.answer = table.concat({id, ARGV[at + 4], ARGV[at + 5], ARGV[at + 3]}, '\n')
      end
      settle(job, event, keep_ms, worker, 'media', ARGV[at + 4], 'facts', ARGV[at + 5], 'result_size', size)
      redis.call('SET', result_key(id), ARGV[at + 3])
      count('bytes', size)
      count('results', size)
    else
      settle(job, event, keep_ms, worker, 'code', ARGV[at + 3], 'message', ARGV[at + 4])
    end
  end
  answers[#answers + 1] = mine and 1 or 0
end
write_notes()
return answers
