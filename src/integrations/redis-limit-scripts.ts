// The scripts by which a server counts. Each runs alone on the server; it reads all it needs before it writes anything,
// so that an error leaves nothing half done. Arithmetic and its order are those of src/limit.
//
// A counter is a hash: `meter`, `sum` (taken; of a rate: tokens missing at `at`), `at` (latest time seen, microseconds),
// `parts` of a total, `max` and `per` of a rate, and `born`, which tells it from one of the same name before it. A window and
// a concurrency have a sorted set beside it: spans of a window as `first:amount` by their last time, leases as
// `index:amount:lease` by their end. Numbers are written with 17 digits, which gives the same double back.

const PRELUDE = `
local function num(x) return string.format('%.17g', x) end
local function clock(given)
  local t = redis.call('TIME')
  local server = t[1] * 1000000 + t[2]
  return tonumber(given) or server, math.floor(server / 1000)
end
local function load(meta, entries, meter, per, now)
  local f = redis.call('HMGET', meta, 'meter', 'sum', 'at', 'parts', 'max', 'per', 'born')
  local c = { meta = meta, entries = entries, meter = meter, per = per, now = now, pending = 0, ended = 0, size = 0 }
  local set = meter == 'window' or meter == 'concurrency'
  if set then c.size = redis.call('ZCARD', entries) end
  if not f[7] then
    c.sum, c.parts = 0, 0
    -- One of the two keys is gone: evicted or deleted behind our back. What it held is not known.
    c.damaged = c.size > 0
    return c
  end
  c.sum, c.at, c.parts, c.max, c.rate, c.born = tonumber(f[2]), tonumber(f[3]), tonumber(f[4]), tonumber(f[5]), tonumber(f[6]), f[7]
  c.damaged = f[1] ~= meter or not c.sum or not c.at or not c.parts or (set and c.sum > 0 and c.size == 0)
  if c.damaged then return c end
  if c.at > now then c.now = c.at end
  if meter == 'rate' then
    if not c.max or not c.rate then c.damaged = true return c end
    c.held = c.sum
    c.sum = c.sum == 0 and 0 or math.max(0, c.sum - (c.now - c.at) / 1000 * c.max / c.rate)
  elseif set then
    local limit = c.now
    if meter == 'window' then limit = c.now - per * 1000 end
    c.limit = num(limit)
    local gone = redis.call('ZRANGEBYSCORE', entries, '-inf', c.limit)
    c.ended = #gone
    for _, member in ipairs(gone) do
      c.sum = math.max(0, c.sum - tonumber(string.match(member, '^[^:]+:([^:]+)')))
    end
    if c.ended == c.size then c.sum = 0 end
  end
  return c
end
local function prune(c)
  if c.ended == 0 then return end
  if c.ended == c.size then
    redis.call('DEL', c.meta, c.entries)
  else
    redis.call('ZREMRANGEBYSCORE', c.entries, '-inf', c.limit)
    redis.call('HSET', c.meta, 'sum', num(c.sum), 'at', num(c.now))
  end
end
`

/**
 * KEYS: the lease, then of each charge the counter, its sorted set and the list of its run (or the counter again).
 * ARGV: time in microseconds or nothing, leaseMs, digest of the charges, slack in ms, life of a total in ms, most spans of a
 * window, then of each charge: meter, amount, max, perMs or 0, burst, name of the counter in the list of its run or nothing.
 */
export const RESERVE: string = `${PRELUDE}
local now, wall = clock(ARGV[1])
local lease = redis.call('HMGET', KEYS[1], 'state', 'digest', 'ends')
if lease[1] == 'released' then return {'released'} end
if lease[1] == 'held' and tonumber(lease[3]) > now then
  return {lease[2] == ARGV[3] and 'ok' or 'differs'}
end
local leaseMs, slack, life, most = tonumber(ARGV[2]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local function expire(key, ttl)
  ttl = math.min(math.ceil(ttl), 3155760000000) + slack
  redis.call('PEXPIREAT', key, string.format('%.0f', wall + math.max(ttl, redis.call('PTTL', key))))
end
local function waitFor(c, amount, max, burst)
  if c.meter == 'rate' then
    if c.pending + amount > burst then return '' end
    local wait = math.max(1, math.ceil((c.sum + c.pending + amount - burst) * c.rate / c.max))
    if not (wait <= 9007199254740991) then return '' end
    local function fitsAfter(ms)
      local sum = math.max(0, c.held - ((c.now - c.at) / 1000 + ms) * c.max / c.rate)
      return sum + c.pending + amount <= burst
    end
    if not fitsAfter(wait) then
      wait = wait + 1
    elseif wait > 1 and fitsAfter(wait - 1) then
      wait = wait - 1
    end
    return num(wait)
  end
  if c.meter ~= 'window' or c.pending + amount > max then return '' end
  local sum, index = c.sum, c.ended
  while index < c.size do
    local part = redis.call('ZRANGE', c.entries, index, index + 63, 'WITHSCORES')
    if #part == 0 then break end
    for i = 1, #part, 2 do
      index = index + 1
      sum = math.max(0, sum - tonumber(string.match(part[i], ':(.*)$')))
      if index == c.size then sum = 0 end
      if sum + c.pending + amount <= max then
        return num(math.max(1, math.ceil((tonumber(part[i + 1]) - c.now) / 1000 + c.per)))
      end
    end
  end
  return ''
end
local counters, order, takes = {}, {}, {}
for i = 1, (#ARGV - 6) / 6 do
  local a = i * 6
  local amount, max, burst = tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3]), tonumber(ARGV[a + 5])
  local meta = KEYS[3 * i - 1]
  local c = counters[meta]
  if not c then
    c = load(meta, KEYS[3 * i], ARGV[a + 1], tonumber(ARGV[a + 4]), now)
    if c.damaged then return {'damaged'} end
    if c.meter == 'window' and c.size > c.ended then
      c.newest = redis.call('ZRANGE', c.entries, -1, -1, 'WITHSCORES')
    end
    counters[meta] = c
    order[#order + 1] = c
  end
  if c.sum + c.pending + amount > (c.meter == 'rate' and burst or max) then
    local wait = waitFor(c, amount, max, burst)
    for _, one in ipairs(order) do
      prune(one)
      -- A total that is still asked for is not idle: it would be whole again when its time to live is over.
      if one.meter == 'total' and one.born then expire(one.meta, life) end
    end
    return {'refused', tostring(i), wait}
  end
  c.pending = c.pending + amount
  if amount > 0 then
    takes[#takes + 1] = { c = c, i = i, amount = amount, max = max, run = KEYS[3 * i + 1], name = ARGV[a + 6] }
  end
end
-- First a write that a server without memory refuses: after one that it does not refuse it would let all others pass.
redis.call('HSET', KEYS[1], 'state', 'held')
redis.call('DEL', KEYS[1])
local record = { 'state', 'held', 'digest', ARGV[3], 'ends', num(now + leaseMs * 1000) }
for _, c in ipairs(order) do prune(c) end
for _, t in ipairs(takes) do
  local c, ttl = t.c, life
  c.born = c.born or KEYS[1]
  c.sum = c.sum + t.amount
  if c.meter == 'rate' then
    c.max, c.rate = t.max, c.per
    ttl = c.sum * c.rate / c.max
  elseif c.meter == 'window' then
    ttl = c.per
    local newest = c.newest
    if newest and newest[2] and tonumber(newest[2]) == c.now then
      local first, amount = string.match(newest[1], '^([^:]+):(.*)$')
      redis.call('ZREM', c.entries, newest[1])
      c.newest = { first .. ':' .. num(tonumber(amount) + t.amount), newest[2] }
    else
      c.newest = { num(c.now) .. ':' .. num(t.amount), num(c.now) }
      if redis.call('ZCARD', c.entries) >= most then
        local grain, all, kept = 2000 * c.per / most, redis.call('ZRANGE', c.entries, 0, -1, 'WITHSCORES'), {}
        redis.call('DEL', c.entries)
        for i = 1, #all, 2 do
          local first, amount = string.match(all[i], '^([^:]+):(.*)$')
          local last, before = tonumber(all[i + 1]), kept[#kept]
          if before and math.floor(before[2] / grain) == math.floor(last / grain) then
            before[2], before[3] = last, before[3] + tonumber(amount)
          else
            kept[#kept + 1] = { first, last, tonumber(amount) }
          end
        end
        for _, span in ipairs(kept) do
          redis.call('ZADD', c.entries, num(span[2]), span[1] .. ':' .. num(span[3]))
        end
      end
    end
    redis.call('ZADD', c.entries, c.newest[2], c.newest[1])
  elseif c.meter == 'concurrency' then
    ttl = leaseMs
    redis.call('ZADD', c.entries, num(c.now + leaseMs * 1000), t.i .. ':' .. num(t.amount) .. ':' .. KEYS[1])
  else
    c.parts = c.parts + 1
  end
  redis.call('HSET', c.meta, 'meter', c.meter, 'sum', num(c.sum), 'at', num(c.now), 'parts', num(c.parts), 'born', c.born)
  if c.meter == 'rate' then redis.call('HSET', c.meta, 'max', num(c.max), 'per', num(c.rate)) end
  ttl = ttl + (c.now - now) / 1000
  expire(c.meta, ttl)
  if c.meter == 'window' or c.meter == 'concurrency' then expire(c.entries, ttl) end
  if t.name ~= '' then
    redis.call('SADD', t.run, t.name)
    expire(t.run, ttl)
  end
  record[#record + 1] = 'at' .. t.i
  record[#record + 1] = num(c.now)
  record[#record + 1] = 'born' .. t.i
  record[#record + 1] = c.born
end
for i = 1, #record, 1000 do
  redis.call('HSET', KEYS[1], unpack(record, i, math.min(i + 999, #record)))
end
expire(KEYS[1], leaseMs)
return {'ok'}
`

/**
 * KEYS: the lease, then of each charge the counter and its sorted set. ARGV: time in microseconds or nothing, `settled` or
 * `undone`, digest of the charges, for how many ms the lease is remembered as released, then of each charge: meter, amount,
 * perMs or 0.
 */
export const RELEASE: string = `${PRELUDE}
local now = clock(ARGV[1])
local lease = redis.call('HMGET', KEYS[1], 'state', 'digest', 'ends')
local held = lease[1] == 'held' and tonumber(lease[3]) > now
if held and lease[2] ~= ARGV[3] then return {'differs'} end
local work = {}
if held then
  for i = 1, (#ARGV - 4) / 3 do
    local a = 2 + i * 3
    local found = redis.call('HMGET', KEYS[1], 'at' .. i, 'born' .. i)
    if found[1] and (ARGV[2] == 'undone' or ARGV[a] == 'concurrency') then
      local c = load(KEYS[2 * i], KEYS[2 * i + 1], ARGV[a], tonumber(ARGV[a + 2]), now)
      if c.damaged then return {'damaged'} end
      -- A counter that was forgotten is not the one that may have its name now.
      if c.born == found[2] then work[#work + 1] = { i = i, at = tonumber(found[1]), amount = tonumber(ARGV[a + 1]) } end
    end
  end
end
-- First a write that a server without memory does not refuse: what is given back is given back all the same.
if held then redis.call('HDEL', KEYS[1], 'digest') end
for _, w in ipairs(work) do
  local a = 2 + w.i * 3
  -- Loaded again: another charge of this call may have the same counter.
  local c = load(KEYS[2 * w.i], KEYS[2 * w.i + 1], ARGV[a], tonumber(ARGV[a + 2]), now)
  if c.born then
    prune(c)
    if c.meter == 'rate' then
      local back = math.max(0, w.amount - (c.now - w.at) / 1000 * c.max / c.rate)
      c.sum = math.max(0, c.sum - back)
    elseif c.meter == 'total' then
      c.parts = c.parts - 1
      c.sum = c.parts == 0 and 0 or math.max(0, c.sum - w.amount)
    elseif c.meter == 'concurrency' then
      if redis.call('ZREM', c.entries, w.i .. ':' .. num(w.amount) .. ':' .. KEYS[1]) == 1 then
        c.sum = math.max(0, c.sum - w.amount)
      end
    else
      local span = redis.call('ZRANGEBYSCORE', c.entries, num(w.at), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
      if span[1] then
        local first, amount = string.match(span[1], '^([^:]+):(.*)$')
        if tonumber(first) <= w.at then
          local rest = tonumber(amount) - w.amount
          -- Added before the other is removed: an emptied set would come back without its time to live.
          if rest > 0 then redis.call('ZADD', c.entries, span[2], first .. ':' .. num(rest)) end
          redis.call('ZREM', c.entries, span[1])
          c.sum = math.max(0, c.sum - w.amount)
        end
      end
    end
    local set = c.meter == 'window' or c.meter == 'concurrency'
    if set and redis.call('ZCARD', c.entries) == 0 then c.sum = 0 end
    if c.sum == 0 and (set or c.parts == 0) then
      redis.call('DEL', c.meta, c.entries)
    else
      redis.call('HSET', c.meta, 'sum', num(c.sum), 'at', num(c.now), 'parts', num(c.parts))
    end
  end
end
if held or (ARGV[2] == 'undone' and lease[1] ~= 'released') then
  -- A reserve that is still on its way must not take what has been undone already.
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'state', 'released')
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
return {held and 'ok' or 'unknown'}
`

/** KEYS: the list of a run, then counters to drop. ARGV: their names in that list. Answers with some that are left. */
export const FORGET: string = `
for i = 2, #KEYS do redis.call('DEL', KEYS[i]) end
for i = 1, #ARGV do redis.call('SREM', KEYS[1], ARGV[i]) end
return redis.call('SRANDMEMBER', KEYS[1], 500)
`
