"""The scripts that Redis runs for a mailbox, each atomically and on Redis's clock.

KEYS are the keys of one mailbox, in the order of PARTS; each key expires by itself. All numbers in
arguments and results are integers: bytes and milliseconds.
"""

# The bytes that begin within one grain, a 60th of the window (5 s of 5 minutes), are one entry. An
# entry leaves the window as a whole. Each poll adds the entries up, so there are fewer than in
# window.py.
GRAINS = 60

# slots   tickets with a slot, each with the end of its lease
# queue   tickets that wait, each with its arrival in microseconds
# leases  tickets that wait, each with the end of its lease
# bytes   the bytes that began in each grain of the window
# pause   exists during a pause
PARTS = ("slots", "queue", "leases", "bytes", "pause")

# ENTER returns one of these and the number behind it.
BEGUN = 0  # the grain in which the bytes were counted; -1 if the slot had begun before
PAUSED = 1  # how long
BYTES_REACHED = 2  # how long
CONCURRENT_REACHED = 3  # 0

_COMMON = f"""
local slots, queue, leases, bytes, pause = unpack(KEYS)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Return how long it takes until `size` bytes, at most `limit`, fit.
local function bytes_wait(size, limit, window)
  if limit == 0 or size == 0 then return 0 end
  local sum, begun = 0, {{}}
  local counted = redis.call('HGETALL', bytes)
  for i = 1, #counted, 2 do
    local gone = (counted[i] + 1) * window / {GRAINS} + window
    if gone <= now then
      redis.call('HDEL', bytes, counted[i])
    else
      sum = sum + counted[i + 1]
      begun[#begun + 1] = {{gone, tonumber(counted[i + 1])}}
    end
  end
  local excess, wait = sum + size - limit, 0
  if excess <= 0 then return 0 end
  table.sort(begun, function(one, other) return one[1] < other[1] end)
  for _, entry in ipairs(begun) do
    if excess <= 0 then break end
    excess = excess - entry[2]
    wait = math.ceil(entry[1] - now)
  end
  return wait
end
"""

# ARGV: ticket, its bytes, slots (0: any number), bytes in the window (likewise), the window, lease
# of a slot, lease of a ticket.
# Begins the slot, or joins the queue, or renews the ticket's lease in the queue.
ENTER = (
    _COMMON
    + f"""
local ticket = ARGV[1]
local size, concurrent, limit, window = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]),
  tonumber(ARGV[5])
local slot_lease, ticket_lease = tonumber(ARGV[6]), tonumber(ARGV[7])

if redis.call('ZSCORE', slots, ticket) then return {{{BEGUN}, -1}} end
redis.call('ZREMRANGEBYSCORE', slots, '-inf', now)
for _, dead in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', now)) do
  redis.call('ZREM', queue, dead)
  redis.call('ZREM', leases, dead)
end

local paused = redis.call('PTTL', pause)
local reached = bytes_wait(size, limit, window)
local wait, why = 0, {CONCURRENT_REACHED}
if paused > 0 and paused >= reached then
  wait, why = paused, {PAUSED}
elseif reached > 0 then
  wait, why = reached, {BYTES_REACHED}
end

local head = redis.call('ZRANGE', queue, 0, 0)[1] or ticket
local full = concurrent > 0 and redis.call('ZCARD', slots) >= concurrent
if wait == 0 and head == ticket and not full then
  redis.call('ZREM', queue, ticket)
  redis.call('ZREM', leases, ticket)
  redis.call('ZADD', slots, now + slot_lease, ticket)
  redis.call('PEXPIRE', slots, slot_lease)
  local grain = string.format('%.0f', math.floor(now * {GRAINS} / window))
  if size > 0 then
    redis.call('HINCRBY', bytes, grain, size)
    redis.call('PEXPIRE', bytes, math.ceil(window + window / {GRAINS}))
  end
  return {{{BEGUN}, tonumber(grain)}}
end

redis.call('ZADD', queue, 'NX', time[1] .. string.format('%06d', time[2]), ticket)
redis.call('ZADD', leases, now + ticket_lease, ticket)
redis.call('PEXPIRE', queue, ticket_lease)
redis.call('PEXPIRE', leases, ticket_lease)
return {{why, wait}}
"""
)

# ARGV: ticket, the grain and the number of the bytes to stop counting (0 if Graph took them). No
# count of 0 is kept, nor a negative one of a grain that had left the window.
RELEASE = (
    _COMMON
    + """
redis.call('ZREM', queue, ARGV[1])
redis.call('ZREM', leases, ARGV[1])
if redis.call('ZREM', slots, ARGV[1]) == 1 and tonumber(ARGV[3]) > 0
  and redis.call('HINCRBY', bytes, ARGV[2], -ARGV[3]) <= 0 then
  redis.call('HDEL', bytes, ARGV[2])
end
return {0, 0}
"""
)

# ARGV: ticket, lease of a slot. A slot that is lost stays lost.
RENEW = (
    _COMMON
    + """
redis.call('ZADD', slots, 'XX', now + ARGV[2], ARGV[1])
redis.call('PEXPIRE', slots, ARGV[2])
return {0, 0}
"""
)

# ARGV: how long no slot may begin.
PAUSE = (
    _COMMON
    + """
if redis.call('PTTL', pause) < tonumber(ARGV[1]) then
  redis.call('SET', pause, 1, 'PX', ARGV[1])
end
return {0, 0}
"""
)
