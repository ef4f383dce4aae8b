-- Adds an event that is not of jobs. ARGV: kind, worker, detail
add_event(ARGV[1], ARGV[2], 'detail', ARGV[3])
return 1
