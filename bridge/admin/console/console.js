// The page listens to one stream of server-sent events and draws what it says. Whatever comes from an event is put in as
// text, never as markup, by `put`.

import { byId, chip, clock, eventAddress, moment, platformName, put, stamp } from '/text.js'

const SHOWN_EVENTS = 100
const RECONNECT_AFTER = 3_000 // milliseconds, as browsers wait
const SILENCE = 6_000 // milliseconds; a daemon that lives says something every two seconds
const SHOWN_CAUSES = 3
const SHOWN_NAMES = 3
const SHOWN_BANNERS = { apns: 3, fcmv1: 3, wns: 2, browser: 2 } // as many as there is room for; one where the look is not known

const ANIMATED_EVENTS = 10 // more at a time just appear

const ENDS = { no_match: 'no match', duplicate: 'seen before', suppressed: 'suppressed', dead_letter: 'dead letter', rejected: 'rejected' }
const END_TONES = { no_match: 'quiet', duplicate: 'quiet', suppressed: 'quiet', dead_letter: 'bad', rejected: 'bad' }
const OUTCOME_TONES = { Success: 'good', RefreshToken: 'good', Skipped: 'quiet', NoTargets: 'quiet' }
const TONES = ['bad', 'waiting', 'good', 'quiet'] // what matters most first
const UNREACHED = {
  no_registration: 'the hub has no registration',
  no_tag: 'no registration has these tags',
  no_template: 'these phones have registered no template',
  no_native: 'these phones have registered templates only',
  other_platform: 'these phones are of other platforms',
  gone: 'these phones are gone',
  no_credential: 'no push service takes a credential of the hub',
  expired: 'given up before a push service took it',
  refused: 'the push services took none',
}

// How parts of the process are called, in the order of the strip; `down` is what is said of those that do not work.
const GROUPS = {
  process: { title: 'Process', isSingle: true },
  source: { title: 'Sources', down: 'down' },
  'push service': { title: 'Push services', down: 'in trouble' },
  'remote hub': { title: 'Remote hubs', down: 'in trouble' },
  relay: { title: 'Dead-letter relays', down: 'in trouble' },
  sink: { title: 'Sinks', down: 'in trouble' },
  'follow-ups': { title: 'Follow-ups', isSingle: true },
  listener: { title: 'Listeners', down: 'in trouble' },
  store: { title: 'Store', isSingle: true },
  configuration: { title: 'Configuration', isSingle: true },
  heartbeat: { title: 'Heartbeat', down: 'stalled' },
  'event loop': { title: 'Event loop', isSingle: true },
  books: { title: 'Books', isSingle: true },
}
const STATES = { 'breaker open': 'breaker open, nothing is sent', degraded: 'needs an operator' }

const events = new Map() // by number
const rows = new Map() // of events, by number
const devices = new Map() // by the phone's id
const groups = new Map() // of the strip, by the kind of their parts
let trouble = 0 // parts that do not work
let configuration = '' // which one is in force
let lastHeard = 0
let shownOutcome = ''
let isPaused = false
let isDrawing = false
let pending = nothing() // told and not drawn yet

// Health

function drawStatus({ parts, configuration: inForce }) {
  configuration = [inForce.hash && `as ${inForce.hash}`, inForce.revision && `revision ${inForce.revision}`].filter(Boolean).join(', ')
  const down = parts.filter((part) => !part.ok)
  const news = []
  let previous = null
  for (const kind of new Set([...Object.keys(GROUPS), ...groups.keys(), ...parts.map((part) => part.kind)])) {
    const words = GROUPS[kind] ?? { title: kind, down: 'in trouble' }
    const ours = parts.filter((part) => part.kind === kind)
    if (!ours.length || (kind === 'process' && ours[0].ok)) {
      groups.get(kind)?.element.remove()
      groups.delete(kind)
      continue
    }
    if (!groups.has(kind)) addGroup(kind, words, previous)
    const group = groups.get(kind)
    const isDown = drawGroup(group, words, ours)
    if (isDown) news.push(`${words.title}: ${group.parts.headline.textContent}`)
    previous = group.element
  }
  trouble = down.length
  announce(news.join('. '))
  setConnection('live')
}

function addGroup(kind, words, previous) {
  const group = stamp(words.isSingle ? 'single' : 'group')
  group.element.dataset.kind = kind
  put(group.parts.title, words.title)
  group.parts.all?.setAttribute('aria-label', words.title)
  if (previous) previous.after(group.element)
  else byId('parts').prepend(group.element)
  groups.set(kind, group)
}

/** In place, so that a list somebody reads stays open; whether something is wrong. */
function drawGroup({ element, parts: places }, words, parts) {
  const down = parts.filter((part) => !part.ok)
  element.dataset.tone = !down.length ? 'good' : down.every(isStarting) ? 'waiting' : 'bad'
  put(places.headline, headlineOf(words, parts, down))
  const causes = down.slice(0, SHOWN_CAUSES).map(lineOf)
  if (down.length > SHOWN_CAUSES) causes.push(line(`and ${(down.length - SHOWN_CAUSES).toLocaleString()} more`, 'bad'))
  places.causes.replaceChildren(...causes)
  places.all?.replaceChildren(...down.map(lineOf), ...parts.filter((part) => part.ok).map(lineOf))
  return down.length > 0
}

/** Not connected for the first time yet, and nothing is known to be wrong. */
function isStarting({ state, since }) {
  return state === 'connecting' && !since
}

function headlineOf(words, parts, down) {
  if (words.isSingle) {
    const [part] = parts
    if (part.kind === 'configuration' && !part.ok) return 'last reload failed'
    if (part.kind === 'configuration') return ['loaded', moment(part.since), configuration].filter(Boolean).join(' ')
    return part.ok ? 'ok' : part.state
  }
  if (!down.length) return `${parts.length.toLocaleString()} ok`
  const names = down.slice(0, SHOWN_NAMES).map(nameOf).join(', ')
  const more = down.length > SHOWN_NAMES ? ` and ${(down.length - SHOWN_NAMES).toLocaleString()} more` : ''
  return `${down.length.toLocaleString()} of ${parts.length.toLocaleString()} ${words.down}: ${names}${more}`
}

function titleOf(platform) {
  return platform === 'remote' ? 'hub' : platformName(platform)
}

function nameOf({ kind, name }) {
  if (kind !== 'push service') return name
  const end = name.lastIndexOf('/')
  const platform = name.slice(end + 1)
  return `${titleOf(platform)} of ${name.slice(0, end)}`
}

function lineOf(part) {
  const isSaid = GROUPS[part.kind]?.isSingle && part.detail // in the headline
  const state = part.kind === 'configuration' ? 'the one before stays in force' : isSaid ? '' : STATES[part.state] ?? part.state
  const cause = [nameOf(part), state, part.detail, part.mistake].filter(Boolean).join(': ')
  const since = part.since && !part.ok ? `since ${moment(part.since)}` : ''
  const until = part.until ? new Date(part.until) > Date.now() ? `until ${moment(part.until)}` : 'a few are tried now' : ''
  return line([cause, since, until].filter(Boolean).join(', '), part.ok ? 'good' : 'bad')
}

function line(text, tone) {
  const element = document.createElement('li')
  element.dataset.tone = tone
  put(element, text)
  return element
}

/** To those who do not see the strip, and only when it says something else than before. */
function announce(news) {
  if (byId('news').textContent !== news) byId('news').textContent = news
}

// Events

function drawEvents(changed) {
  for (const event of changed) {
    events.set(event.number, event)
    const row = eventRow(event)
    if (rows.has(event.number)) {
      rows.get(event.number).replaceWith(row)
    } else {
      if (changed.length <= ANIMATED_EVENTS) row.classList.add('new')
      insertRow(event.number, row)
    }
    rows.set(event.number, row)
  }
  const oldest = [...events.keys()].sort((a, b) => a - b).slice(0, -SHOWN_EVENTS)
  for (const number of oldest) {
    rows.get(number).remove()
    rows.delete(number)
    events.delete(number)
  }
  applyFilter()
}

/** The newest is on top. */
function insertRow(number, row) {
  const older = [...byId('recent-events').children].find((other) => Number(other.dataset.number) < number)
  byId('recent-events').insertBefore(row, older ?? null)
}

function eventRow(event) {
  const { element, parts } = stamp('event')
  element.dataset.number = event.number
  element.dataset.outcome = event.outcome
  put(parts.source, event.source)
  parts.time.textContent = clock(event.received_at, true)
  parts.time.dateTime = event.received_at
  put(parts.id, event.id || 'no id')
  const id = event.id || event.notifications[0]?.id // a send of the hub API has a notification alone
  if (id && event.outcome !== 'rejected') parts.id.href = eventAddress(id, event.id ? { source: event.source } : {}) // what was refused is not kept
  put(parts.type, event.type)
  const ways = event.notifications.map(wayRow)
  const failed = event.dead_letters.map((letter) => endRow('dead_letter', { ...letter, source: event.source }))
  const kept = event.suppressed.map(({ rule, cause, digest }) => endRow('suppressed', { rule, detail: digest ? 'counted into a digest' : cause }))
  parts.ways.append(...ways, ...failed, ...kept)
  if (event.more) parts.ways.append(endRow('', { detail: `and ${event.more.toLocaleString()} more` }))
  if (!parts.ways.children.length) parts.ways.append(endRow(event.outcome, event))
  element.dataset.tone = worst([...parts.ways.children])
  return element
}

/** The tone that matters most. */
function worst(elements) {
  const tones = elements.map((element) => element.dataset.tone)
  return TONES.find((tone) => tones.includes(tone)) ?? 'quiet'
}

function wayRow(notification) {
  const { element, parts } = stamp('way')
  const { targeted, pushes, outcomes, waits } = notification
  const isRemote = 'remote' in outcomes || 'remote' in waits
  const isLater = notification.schedule_at !== null && new Date(notification.schedule_at) > Date.now()
  const counts = {}
  for (const byName of Object.values(outcomes)) {
    for (const [name, count] of Object.entries(byName)) counts[name] = (counts[name] ?? 0) + count
  }
  const ended = Object.values(counts).reduce((sum, count) => sum + count, 0)
  put(parts.rule, notification.rule || 'none')
  put(parts.hub, `hub ${notification.hub}`)
  put(parts.expression, notification.expression)
  put(parts.audience, audienceOf(notification, isRemote, isLater))
  for (const [platform, count] of Object.entries(pushes)) {
    if (count) parts.pushed.append(chip(`${titleOf(platform)} ${count.toLocaleString()}`, 'plain'))
  }
  for (const [name, count] of Object.entries(counts)) {
    parts.outcome.append(chip(`${count.toLocaleString()} ${name}`, OUTCOME_TONES[name] ?? 'bad'))
  }
  for (const platform of Object.keys(waits)) {
    parts.outcome.append(chip(`${titleOf(platform)} waits`, 'waiting'))
  }
  put(parts.reason, reasonOf(notification))
  if (targeted === 0) parts.outcome.append(chip('NoTargetFound', 'quiet'))
  else if (isLater && !ended) parts.outcome.append(chip('scheduled', 'quiet'))
  else if (!isRemote && !Object.keys(waits).length && (targeted === null || ended < targeted)) {
    parts.outcome.append(chip('under way', 'waiting'))
  }
  const [, , audience, pushed, outcome] = element.children
  audience.dataset.tone = targeted || isRemote ? 'good' : targeted === 0 || isLater ? 'quiet' : 'waiting'
  pushed.dataset.tone = audience.dataset.tone
  element.dataset.tone = outcome.dataset.tone = worst([...parts.outcome.children])
  return element
}

/** Why pushes ended badly, why nobody was reached, and what the others wait for. */
function reasonOf({ reason, unreached, waits }) {
  const all = Object.entries(waits)
  const waiting = all.flatMap(([platform, wait]) => {
    const next = `next try ${moment(wait.until)}`
    return all.length > 1 ? `${titleOf(platform)}: ${wait.reason}, ${next}` : [wait.reason, next]
  })
  return [...new Set([reason, UNREACHED[unreached] ?? unreached, ...waiting])].filter(Boolean).join('; ')
}

function audienceOf({ targeted, schedule_at: at }, isRemote, isLater) {
  if (targeted) return targeted.toLocaleString()
  if (targeted === 0) return 'nobody'
  return isRemote ? 'remote' : isLater ? `at ${moment(at)}` : 'looking'
}

/** How an event, or one rule's share of it, ended before anybody was notified. */
function endRow(end, { source, rule, reason, detail }) {
  const { element, parts } = stamp('end')
  element.dataset.tone = END_TONES[end] ?? 'quiet'
  if (end === 'dead_letter') parts.word.href = `/dead-letters?${new URLSearchParams(Object.entries({ source, rule, reason }).filter(([, value]) => value))}`
  parts.word.dataset.tone = element.dataset.tone
  parts.word.textContent = reason ? `${ENDS[end] ?? end}: ${reason}` : ENDS[end] ?? end
  parts.word.hidden = !parts.word.textContent
  put(parts.detail, [rule && `rule ${rule}`, detail].filter(Boolean).join(': '))
  if (end === 'no_match' && !detail) put(parts.detail, 'no rule is for this event')
  return element
}

function applyFilter() {
  let shown = 0
  for (const [number, row] of rows) {
    const event = events.get(number)
    const isShown = !shownOutcome || event.outcome === shownOutcome || (shownOutcome === 'dead_letter' && event.dead_letters.length > 0)
    row.hidden = !isShown
    shown += isShown
  }
  byId('empty').hidden = shown > 0
}

// Phones

function drawPhones(phones) {
  byId('phones').hidden = phones === null
  for (const phone of phones ?? []) {
    if (!devices.has(phone.id)) addDevice(phone)
    drawScreen(devices.get(phone.id), phone.screen.slice(-(SHOWN_BANNERS[phone.platform] ?? 1)))
  }
}

function addDevice(phone) {
  const { element, parts } = stamp('phone')
  element.dataset.platform = phone.platform
  put(parts.name, phone.name)
  parts.name.href = `/events?${new URLSearchParams({ device: phone.id })}`
  parts.service.textContent = titleOf(phone.platform)
  for (const tag of [`user ${phone.user}`, ...phone.tags]) {
    const item = document.createElement('li')
    put(item, tag)
    parts.tags.append(item)
  }
  const banners = element.querySelector('.banners')
  banners.setAttribute('aria-label', `Notifications on ${phone.name}`)
  element.querySelector('.clock').textContent = clock(new Date())
  byId('devices').append(element)
  devices.set(phone.id, banners)
}

/** The newest is on top; on a desktop, toasts stand above the taskbar, so the style turns the order round. */
function drawScreen(banners, screen) {
  const kept = new Map([...banners.children].map((banner) => [banner.dataset.key, banner]))
  for (const notification of screen) {
    const key = `${notification.push_id} ${notification.at}`
    if (!kept.delete(key)) banners.prepend(bannerOf(notification, key))
  }
  for (const gone of kept.values()) gone.remove()
}

function bannerOf(notification, key) {
  const { element, parts } = stamp('banner')
  element.dataset.key = key
  put(parts.title, notification.title)
  put(parts.subtitle, notification.subtitle)
  put(parts.body, notification.body)
  parts.when.dateTime = notification.at
  parts.when.textContent = ago(notification.at)
  return element
}

// Time

function ago(time) {
  const minutes = Math.floor((Date.now() - new Date(time)) / 60_000)
  return minutes < 1 ? 'now' : minutes < 60 ? `${minutes}m` : clock(time)
}

function tick() {
  for (const element of document.querySelectorAll('.device .clock')) element.textContent = clock(new Date())
  for (const element of document.querySelectorAll('.banner .when')) element.textContent = ago(element.dateTime)
}

// The stream

/** The status is drawn at once; the rest with the next frame, so that what nobody looks at is drawn once for all. */
function draw(message, isAnew) {
  if ('status' in message) drawStatus(message.status)
  if (isAnew) pending = { ...nothing(), isAnew }
  pending.count = message.count
  if ('phones' in message) pending.phones = message.phones
  for (const event of message.events) {
    pending.events.delete(event.number)
    pending.events.set(event.number, event)
  }
  for (const number of [...pending.events.keys()].slice(0, -SHOWN_EVENTS)) pending.events.delete(number)
  if (!isDrawing) requestAnimationFrame(drawPending)
  isDrawing = true
}

function nothing() {
  return { isAnew: false, count: 0, phones: undefined, events: new Map() }
}

function drawPending() {
  isDrawing = false
  byId('pause').textContent = !isPaused ? 'Pause' : pending.events.size ? `Resume, ${pending.events.size} new` : 'Resume'
  if (isPaused) return
  if (pending.isAnew) forget() // after a restart of the daemon, events are numbered anew
  byId('count').textContent = pending.count.toLocaleString()
  drawEvents([...pending.events.values()])
  if (pending.phones !== undefined) drawPhones(pending.phones)
  pending = { ...nothing(), count: pending.count }
}

function forget() {
  events.clear()
  rows.clear()
  devices.clear()
  byId('recent-events').replaceChildren()
  byId('devices').replaceChildren()
}

/** Of the daemon and the connection to it: green only while both are well. */
function setConnection(state) {
  const isTrouble = state === 'live' && trouble > 0
  const text = isTrouble ? `${trouble.toLocaleString()} in trouble` : state
  byId('connection').dataset.state = isTrouble ? 'trouble' : state
  if (byId('connection').textContent !== text) byId('connection').textContent = text
  document.title = isTrouble ? `(${trouble}) pushbridge` : state === 'live' ? 'pushbridge' : '(!) pushbridge'
  byId('lost').hidden = state !== 'connection lost'
  byId('health').toggleAttribute('data-stale', state === 'connection lost')
}

function setLost() {
  if (byId('connection').dataset.state === 'connection lost') return
  const since = lastHeard ? `since ${moment(lastHeard)}: the page shows what was true then` : 'yet'
  put(byId('lost'), `No word from the daemon ${since}. The page connects again by itself.`)
  setConnection('connection lost')
  announce(byId('lost').textContent)
}

let stream = null
let connectedAt = 0

function connect() {
  stream?.close()
  stream = new EventSource('/api/live') // it connects again by itself, unless somebody else answers
  connectedAt = Date.now()
  stream.addEventListener('error', ({ target }) => {
    setLost()
    if (target === stream && stream.readyState === EventSource.CLOSED) setTimeout(connect, RECONNECT_AFTER)
  })
  stream.addEventListener('snapshot', ({ data }) => {
    hear()
    draw(JSON.parse(data), true)
  })
  stream.addEventListener('update', ({ data }) => {
    hear()
    draw(JSON.parse(data), false)
  })
  stream.addEventListener('alive', hear)
}

function hear() {
  lastHeard = Date.now()
}

/** A daemon that hangs, and a network that is gone, close no connection. */
function watch() {
  if (stream.readyState === EventSource.CLOSED || Date.now() - Math.max(lastHeard, connectedAt) < SILENCE) return
  setLost()
  connect()
}

byId('filter').addEventListener('click', ({ target }) => {
  if (target.dataset.outcome === undefined) return
  shownOutcome = target.dataset.outcome
  for (const button of byId('filter').children) button.setAttribute('aria-pressed', button === target)
  applyFilter()
})
byId('pause').addEventListener('click', ({ target }) => {
  isPaused = !isPaused
  target.setAttribute('aria-pressed', isPaused)
  drawPending()
})
setInterval(tick, 10_000)
setInterval(watch, 1_000)

// What scrolls has to be reachable by keyboard, and what does not scroll is no stop on the way.
new ResizeObserver(([{ target }]) => {
  if (target.scrollWidth > target.clientWidth) target.tabIndex = 0
  else target.removeAttribute('tabindex')
}).observe(byId('devices'))

connect()
