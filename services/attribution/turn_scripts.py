"""A chunk's way through a worker, as Lua scripts: its turn, its beginning, its end.

The keys are listed in ``record_scripts``. A worker that goes on with further chunks asks for all
three at once (``FURTHER``): a chunk costs one message to Redis, and no other caller's turn is lost.
"""

from services.attribution.record_scripts import SHARED

_STEPS = (
    SHARED
    + """
local function working(lane)
  return redis.call('ZCARD', key('out', lane)) - redis.call('SCARD', key('ahead', lane))
end
local function release(lane, most, pictures, now, ahead)
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', 'steerboard:later', '-inf', now)) do
    redis.call('ZREM', 'steerboard:later', member)
    back(member)
  end
  local turn, credit, out = key('turn', lane), key('credit', lane), key('out', lane)
  local free = tonumber(most) - working(lane)
  if ahead and tonumber(most) > 0 then free = free + 1 end
  local found = {}
  while free > 0 do
    local caller = redis.call('LINDEX', turn, 0)
    if not caller then break end
    local line = key('line', lane .. ':' .. caller)
    local job = redis.call('LINDEX', line, 0)
    if not job then
      redis.call('LPOP', turn)
      redis.call('HDEL', credit, caller)
    else
      local record = redis.call('HMGET', key('job', job), 'state', 'price', 'weight')
      local chunk = redis.call('LINDEX', key('todo', job), 0)
      if not chunk or ended(record[1]) then
        redis.call('LPOP', line)
      else
        local cost = tonumber(record[2])
        local left = tonumber(redis.call('HGET', credit, caller) or '0')
        if left >= cost then
          redis.call('HSET', credit, caller, left - cost)
          redis.call('LPOP', key('todo', job))
          redis.call('ZADD', out, now, job .. ':' .. chunk)
          table.insert(found, job .. ':' .. chunk)
          free = free - 1
        else
          redis.call('HSET', credit, caller, left + tonumber(pictures) * tonumber(record[3]))
          redis.call('LMOVE', turn, turn, 'LEFT', 'RIGHT')
        end
      end
    end
  end
  return found
end
local function start(job, chunk, now, message, seconds)
  local member, record, tries = job .. ':' .. chunk, key('job', job), key('tries', job)
  local found = redis.call('HMGET', record, 'state', 'lane', 'opened', 'again')
  if ended(found[1]) or redis.call('SISMEMBER', key('done', job), chunk) == 1 then
    forget(member)
    return false
  end
  if found[1] == 'queued' then redis.call('HSET', record, 'state', 'running') end
  redis.call('ZREM', 'steerboard:later', member)
  redis.call('ZADD', key('out', found[2]), now, member)
  -- Who died with it in hand, and was at another one, did not die of it.
  local waited = redis.call('SREM', key('ahead', found[2]), member)
  if message ~= '' then
    local held = key('held', message)
    redis.call('LREM', held, 0, member)
    redis.call('LPUSH', held, member)
    redis.call('LTRIM', held, 0, 1)
    redis.call('EXPIRE', held, seconds)
  end
  local begun = redis.call('HINCRBY', tries, chunk .. ':begun', 1 - waited)
  local was = redis.call('HMGET', tries, chunk .. ':slow', chunk .. ':part')
  local before = (begun > 1 or was[2] or found[4] == '1') and 1 or 0
  return {found[3], begun - 1, tonumber(was[1] or 0), before}
end
local function finish(job, chunk, now, seconds)
  if not forget(job .. ':' .. chunk) then  -- what is out does not wait, and the list is long
    redis.call('LREM', key('todo', job), 0, chunk)
  end
  local record = key('job', job)
  local found = redis.call('HMGET', record, 'state', 'total')
  if not found[1] then return 0 end
  if redis.call('SADD', key('done', job), chunk) == 1 then
    redis.call('LPUSH', key('times', job), now)
    redis.call('LTRIM', key('times', job), 0, 32)
  end
  redis.call('HDEL', key('tries', job), chunk .. ':begun', chunk .. ':slow', chunk .. ':failed',
             chunk .. ':since', chunk .. ':part')
  local done, total = redis.call('SCARD', key('done', job)), tonumber(found[2])
  if not ended(found[1]) then
    if done >= total then
      close(job, 'done')
    else
      if found[1] == 'queued' then redis.call('HSET', record, 'state', 'running') end
      if done == limit(total) then
        push(key('todo', job), tostring(total - 1), true)
        enlist(job, true)
      end
    end
  end
  if done % 16 == 1 or done >= limit(total) then keep(job, seconds) end  -- not at every chunk
  return done
end
"""
)

# lane, members that may be out at once, pictures a turn, now. Answers members to hand out:
# deficit round robin over callers, weighted, in pictures.
RELEASE = _STEPS + "return release(unpack(ARGV))"

# job, chunk, now, message that it came by (or nothing), seconds to remember that. Answers nothing
# where the job has ended or the chunk is done, else when the job was opened, how often the chunk
# was begun and lost without a word, and was too slow, and whether some of it may be done already.
START = _STEPS + "return start(unpack(ARGV))"

# job, chunk, now, seconds to keep. Counts a chunk, and closes the job with the last one.
FINISH = _STEPS + "return finish(unpack(ARGV))"

# Those of RELEASE, message, seconds to remember that, seconds to keep, the member that the message
# is at (or nothing), and the job and chunk that it has finished, if any. Answers a member for the
# message and what START says of it, or nothing twice, and the members to hand out. Who is at one
# takes another ahead: the last of those whose turn has come, and none while other hands are free.
FURTHER = (
    _STEPS
    + """
local lane, most, pictures, now, message, seconds, keep_s, at = unpack(ARGV, 1, 8)
if ARGV[9] then finish(ARGV[9], ARGV[10], now, keep_s) end
local ahead = at ~= ''
if ahead then redis.call('SREM', key('ahead', lane), at) end
local free = tonumber(most) - working(lane)
local found = release(lane, most, pictures, now, ahead)
if ahead and #found <= free then return {false, false, found} end
local first = table.remove(found, ahead and #found or 1)
if not first then return {false, false, found} end
local job, chunk = string.match(first, '^(.*):(%d+)$')
local begun = start(job, chunk, now, message, seconds)
if ahead and begun then redis.call('SADD', key('ahead', lane), first) end
return {first, begun, found}
"""
)
