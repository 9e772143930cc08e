// The page listens to one stream of server-sent events and draws what it says. Whatever comes from an event is put in as
// text, never as markup.

const SHOWN_EVENTS = 100
const SHOWN_TROUBLES = 3 // of each kind; the others are in the list of all parts
const ANIMATED_EVENTS = 10 // more at a time just appear
const RECONNECT_AFTER = 3_000 // milliseconds, as browsers wait
const SILENCE = 15_000 // milliseconds without a word, which would have come after five seconds: the connection is dead
const SHOWN_BANNERS = { apns: 3, fcmv1: 3, wns: 2 } // as many as there is room for

const SERVICES = { apns: 'APNs', fcmv1: 'FCM', wns: 'WNS', remote: 'hub' }
const ENDS = { no_match: 'no match', suppressed: 'seen before', dead_letter: 'dead letter' }
const END_TONES = { no_match: 'quiet', suppressed: 'quiet', dead_letter: 'bad' }
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

const KINDS = [
  { kind: 'process', label: 'Process' },
  { kind: 'source', label: 'Sources', one: 'Source', down: 'down', well: 'running', none: 'none configured' },
  {
    kind: 'push service', label: 'Push services', one: 'Push service', down: 'in trouble', well: 'ok',
    none: 'none configured',
  },
  { kind: 'remote hub', label: 'Hubs elsewhere', one: 'Hub', down: 'in trouble', well: 'ok' },
  { kind: 'listener', label: 'Listeners', one: 'Listener', down: 'in trouble', well: 'ok' },
  { kind: 'store', label: 'Store' },
  { kind: 'relay', label: 'Dead letters to brokers', one: 'Dead letters of', down: 'in trouble', well: 'ok' },
  { kind: 'configuration', label: 'Configuration' },
]
const STATES = { connecting: 'not connected', degraded: 'needs an operator' }
const NOT_YET = 'not connected yet' // what is said of a source in the first moments of a process

const byId = (id) => document.getElementById(id)
const events = new Map() // by number
const rows = new Map() // of events, by number
const devices = new Map() // by the phone's id
let shown = ''
let isPaused = false
let parts = [] // of the process, as told last
let connection = 'connecting'
let lostAt = null
let heardAt = Date.now()
let pending = nothing()
let isDrawing = false

/** A copy of a template's element, and its named parts. */
function stamp(template) {
  const element = byId(template).content.firstElementChild.cloneNode(true)
  const parts = {}
  for (const part of element.querySelectorAll('[data-part]')) parts[part.dataset.part] = part
  return { element, parts }
}

function chip(text, tone) {
  const element = document.createElement('span')
  element.className = 'chip'
  element.dataset.tone = tone
  put(element, text)
  return element
}

// Text

const CONTROLS = /[\p{Cc}\p{Cs}\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]/gu
const SPACELESS = ['Han', 'Hiragana', 'Katakana', 'Thai', 'Lao', 'Khmer', 'Myanmar'] // scripts without spaces between words
  .map((script) => `\\p{Script=${script}}`).join('')
const IS_SPACELESS = new RegExp(`^[${SPACELESS}]`, 'u')
const PIECES = new RegExp(`\\s+|[${SPACELESS}]+|[^\\s${SPACELESS}]+`, 'gu')
const LONG = 9 // characters of a word from which on it may find no room

/** Put a text in so that no word is broken: one that finds no room ends in an ellipsis, and a title has the whole. */
function put(element, text, clean = visible) {
  const pieces = clean(text).match(PIECES) ?? []
  element.dir = 'auto'
  element.classList.add('text')
  element.replaceChildren(...pieces.map((piece) => {
    if (/^\s/u.test(piece)) return ' '
    if (IS_SPACELESS.test(piece)) return piece // a line may end after nearly every character
    const word = document.createElement('span')
    word.className = 'word'
    word.textContent = piece
    return word
  }))
  if (pieces.some((piece) => piece.length > LONG)) element.title = element.textContent
  else element.removeAttribute('title')
}

/** Characters that would show nothing, or turn the text around them, by a sign of their own. */
function visible(text) {
  return text.replace(CONTROLS, (character) => {
    const code = character.codePointAt(0)
    if (code < 0x20) return String.fromCodePoint(0x2400 + code)
    return `\u27e8U+${code.toString(16).toUpperCase().padStart(4, '0')}\u27e9`
  })
}

/** A text as a phone shows it. */
function readable(text) {
  return text.replace(/[\t\n\r\u2028\u2029]/gu, ' ').replace(CONTROLS, '')
}

// Health

function drawHealth() {
  const all = [...KINDS, ...furtherKinds()].map((kind) => [kind, parts.filter((part) => part.kind === kind.kind)])
  const kinds = all.map(([kind, mine]) => summaryOf(kind, mine)).filter(Boolean)
  if (connection !== 'live') for (const kind of kinds) kind.tone = 'quiet' // nothing is known of now
  byId('kinds').replaceChildren(...kinds.map(kindRow))
  const bad = parts.filter((part) => toneOf(part) === 'bad')
  const troubles = all.flatMap(([kind, mine]) => troublesOf(kind, mine))
  if (connection === 'reconnecting') troubles.unshift(lostRow())
  const focused = document.activeElement?.dataset.more
  byId('troubles').replaceChildren(...troubles)
  if (focused) (byId('troubles').querySelector(`[data-more="${focused}"]`) ?? byId('parts-title')).focus()
  byId('troubles').hidden = troubles.length === 0
  byId('parts').hidden = parts.length === 0
  put(byId('parts-title'), `All ${parts.length.toLocaleString()} parts`)
  byId('all-parts').replaceChildren(...parts.map(partRow))
  byId('health').dataset.connection = connection

  const state = connection === 'live' && bad.length ? 'trouble' : connection
  const word = state === 'trouble' ? `${bad.length.toLocaleString()} in trouble` : state
  byId('connection').dataset.state = state
  setText(byId('connection'), word)
  document.title = state === 'live' ? 'pushbridge' : `${word} \u2013 pushbridge`
  const said = kinds.filter(({ tone }) => tone === 'bad' || tone === 'waiting')
  setText(byId('announcement'), said.map(({ label, text }) => `${label}: ${text}.`).join(' '))
}

/** Kinds of parts that this page knows nothing of, by their own words. */
function furtherKinds() {
  const unknown = new Set(parts.map(({ kind }) => kind).filter((kind) => !KINDS.some((one) => one.kind === kind)))
  return [...unknown].map((kind) => ({ kind, label: kind[0].toUpperCase() + kind.slice(1), down: 'in trouble', well: 'ok' }))
}

/** Only when it differs: what is set is read out. */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text
}

function toneOf(part) {
  if (!part.ok) return part.detail === NOT_YET ? 'waiting' : 'bad'
  return part.state === 'paused' ? 'waiting' : part.state === 'stopped' ? 'quiet' : 'good'
}

/** One kind of parts in a few words, however many there are; null where there is nothing to say. */
function summaryOf({ kind, label, down, well, none }, mine) {
  const tones = mine.map(toneOf)
  const tone = TONES.find((one) => tones.includes(one)) ?? 'quiet'
  if (!down) {
    const [part] = mine
    if (!part || (kind === 'process' && part.ok)) return null
    const since = kind === 'configuration' ? `in force since ${moment(part.since)}` : part.state
    return { label, tone, text: part.ok ? since : STATES[part.state] ?? part.state }
  }
  if (!mine.length) return none ? { label, tone, text: none } : null
  const unwell = mine.filter((part, index) => tones[index] === 'bad')
  const waiting = mine.filter((part, index) => tones[index] === 'waiting')
  const said = []
  if (unwell.length) said.push(`${unwell.length} of ${mine.length} ${down}: ${namesOf(unwell)}`)
  if (waiting.length) said.push(`${waiting.length} ${waiting[0].ok ? waiting[0].state : 'connecting'}: ${namesOf(waiting)}`)
  if (!said.length) {
    const stopped = mine.filter((part) => part.state === 'stopped').length
    if (mine.length > stopped || !stopped) said.push(`${mine.length - stopped} ${well}`)
    if (stopped) said.push(`${stopped} stopped`)
  }
  return { label, tone, text: said.join('; ') }
}

function namesOf(some) {
  const names = some.slice(0, SHOWN_TROUBLES).map(nameOf)
  const more = some.length - names.length
  return names.join(', ') + (more ? ` and ${more} more` : '')
}

/** `app/apns` is APNs of app. */
function nameOf({ kind, name }) {
  if (kind !== 'push service') return name
  const [hub, platform] = name.split('/')
  return `${hub}/${SERVICES[platform] ?? platform}`
}

function kindRow({ label, tone, text }) {
  const { element, parts } = stamp('kind')
  element.dataset.tone = tone
  parts.label.textContent = label
  put(parts.text, text)
  return element
}

function troublesOf({ kind, label }, mine) {
  const unwell = mine.filter((part) => toneOf(part) === 'bad').concat(mine.filter((part) => toneOf(part) === 'waiting'))
  const told = unwell.slice(0, SHOWN_TROUBLES).map(partRow)
  if (unwell.length > told.length) {
    const row = document.createElement('li')
    const more = document.createElement('button')
    more.type = 'button'
    more.className = 'more'
    more.dataset.more = kind
    more.textContent = `${unwell.length - told.length} more: ${label}`
    more.addEventListener('click', () => {
      byId('parts').open = true
      byId('all-parts').focus()
    })
    row.append(more)
    told.push(row)
  }
  return told
}

function partRow(part) {
  const { element, parts } = stamp('part')
  const kind = KINDS.find((one) => one.kind === part.kind)
  element.dataset.tone = parts.state.dataset.tone = toneOf(part)
  put(parts.name, [kind?.one ?? kind?.label ?? part.kind, nameOf(part)].filter(Boolean).join(' '))
  put(parts.state, STATES[part.state] ?? part.state)
  put(parts.detail, part.detail)
  put(parts.times, [
    part.since && `since ${moment(part.since)}`,
    part.until && `next try ${moment(part.until)}`,
  ].filter(Boolean).join(', '))
  for (const note of part.notes) {
    const item = document.createElement('li')
    put(item, note)
    parts.notes.append(item)
  }
  return element
}

function lostRow() {
  const { element, parts } = stamp('part')
  element.dataset.tone = parts.state.dataset.tone = 'bad'
  parts.name.textContent = 'This page'
  parts.state.textContent = 'no connection'
  put(parts.detail, 'the daemon does not answer; what stands here is from before')
  put(parts.times, `since ${moment(lostAt)}`)
  return element
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
  const older = [...byId('trail').children].find((other) => Number(other.dataset.number) < number)
  byId('trail').insertBefore(row, older ?? null)
}

function eventRow(event) {
  const { element, parts } = stamp('event')
  element.dataset.number = event.number
  element.dataset.end = event.end
  element.dataset.kind = event.kind
  put(parts.source, event.source)
  parts.time.textContent = clock(event.received_at, true)
  parts.time.dateTime = event.received_at
  put(parts.id, event.id || 'no id')
  put(parts.type, event.type)
  const ways = event.notifications.map((notification) => wayRow(notification, event))
  const failed = event.dead_letters.map((letter) => endRow('dead_letter', letter))
  parts.ways.append(...ways, ...failed)
  if (!ways.length && !failed.length) parts.ways.append(endRow(event.end, event))
  if (event.left_out) parts.ways.append(endRow('', { detail: `and ${event.left_out.toLocaleString()} more, not shown` }))
  const tones = [...parts.ways.children].map((row) => row.dataset.tone)
  element.dataset.tone = TONES.find((tone) => tones.includes(tone)) ?? 'good'
  return element
}

function wayRow(notification, event) {
  const { element, parts } = stamp('way')
  const { targeted, pushes, outcomes, waits, unreached } = notification
  const isRemote = 'remote' in outcomes || 'remote' in waits
  const counts = {}
  for (const byName of Object.values(outcomes)) {
    for (const [name, count] of Object.entries(byName)) counts[name] = (counts[name] ?? 0) + count
  }
  const ended = Object.values(counts).reduce((sum, count) => sum + count, 0)
  const hasEnded = isRemote ? 'remote' in outcomes : targeted === 0 || (targeted !== null && ended >= targeted)
  put(parts.rule, event.kind === 'send' ? 'no rule' : notification.rule)
  put(parts.hub, `hub ${notification.hub}`)
  put(parts.expression, notification.expression)
  const audience = targeted === null ? 'looking' : targeted === 0 ? 'nobody' : targeted.toLocaleString()
  put(parts.audience, isRemote ? 'known there' : audience)
  for (const [platform, count] of Object.entries(pushes)) {
    if (count) parts.pushed.append(chip(`${SERVICES[platform] ?? platform} ${count.toLocaleString()}`, 'plain'))
  }
  if (isRemote) parts.pushed.append(chip('handed over', 'plain'))
  for (const [name, count] of Object.entries(counts)) {
    parts.outcome.append(chip(`${count.toLocaleString()} ${name}`, OUTCOME_TONES[name] ?? 'bad'))
  }
  for (const platform of Object.keys(waits)) {
    parts.outcome.append(chip(`${SERVICES[platform] ?? platform} waits`, 'waiting'))
  }
  if (targeted === 0) parts.outcome.append(chip('NoTargetFound', 'quiet'))
  else if (!hasEnded && !Object.keys(waits).length) parts.outcome.append(chip('under way', 'waiting'))
  const why = Object.values(waits).flatMap(({ reason, until }) => [reason, `next try ${moment(until)}`])
  put(parts.reason, [notification.reason, UNREACHED[unreached] ?? unreached, ...why].filter(Boolean).join('; '))
  const [, , audienceStep, pushedStep, outcomeStep] = element.children
  const tones = [...parts.outcome.children].map((one) => one.dataset.tone)
  audienceStep.dataset.tone = isRemote || targeted ? 'good' : targeted === null ? 'waiting' : 'quiet'
  pushedStep.dataset.tone = audienceStep.dataset.tone
  element.dataset.tone = outcomeStep.dataset.tone = TONES.find((tone) => tones.includes(tone)) ?? 'quiet'
  return element
}

/** How an event, or one rule's share of it, ended before anybody was notified. */
function endRow(end, { rule, reason, detail }) {
  const { element, parts } = stamp('end')
  element.dataset.tone = END_TONES[end] ?? 'quiet'
  parts.word.dataset.tone = element.dataset.tone
  put(parts.word, reason ? `${ENDS[end] ?? end}: ${reason}` : ENDS[end] ?? end)
  parts.word.hidden = !end
  put(parts.detail, [rule && `rule ${rule}`, detail].filter(Boolean).join(': '))
  if (end === 'no_match' && !detail) put(parts.detail, 'no rule is for this event')
  return element
}

function applyFilter() {
  let count = 0
  for (const [number, row] of rows) {
    row.hidden = !isShown(events.get(number))
    count += !row.hidden
  }
  byId('empty').hidden = count > 0
}

function isShown(event) {
  if (!shown || event.kind === shown || event.end === shown) return true
  return shown === 'dead_letter' && event.dead_letters.length > 0
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
  parts.service.textContent = SERVICES[phone.platform] ?? phone.platform
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
  put(parts.title, notification.title, readable)
  put(parts.subtitle, notification.subtitle, readable)
  put(parts.body, notification.body, readable)
  parts.when.dateTime = notification.at
  parts.when.textContent = ago(notification.at)
  return element
}

// Time

function clock(time, withSeconds = false) {
  const options = { hour: '2-digit', minute: '2-digit', second: withSeconds ? '2-digit' : undefined, hourCycle: 'h23' }
  return new Date(time).toLocaleTimeString([], options)
}

/** A time of today by the clock, else with its date. */
function moment(time) {
  const is = new Date(time)
  const isToday = is.toDateString() === new Date().toDateString()
  return isToday ? clock(is, true) : `${is.toLocaleDateString()} ${clock(is, true)}`
}

function ago(time) {
  const minutes = Math.floor((Date.now() - new Date(time)) / 60_000)
  return minutes < 1 ? 'now' : minutes < 60 ? `${minutes}m` : clock(time)
}

function tick() {
  for (const element of document.querySelectorAll('.device .clock')) element.textContent = clock(new Date())
  for (const element of document.querySelectorAll('.banner .when')) element.textContent = ago(element.dateTime)
}

// The stream

/** What was told and is not drawn yet. A burst, or all that comes while nobody looks, is drawn once. */
function nothing() {
  return { isAnew: false, count: null, events: new Map(), phones: undefined }
}

function take(message, isAnew) {
  heardAt = Date.now()
  if ('health' in message) parts = message.health
  if (isAnew) setConnection('live')
  else if ('health' in message) drawHealth()
  if (isAnew) pending = { ...nothing(), isAnew }
  if ('phones' in message) pending.phones = message.phones
  pending.count = message.count ?? pending.count
  for (const event of message.events ?? []) pending.events.set(event.number, event)
  for (const number of [...pending.events.keys()].slice(0, -SHOWN_EVENTS)) pending.events.delete(number)
  if (!isDrawing) {
    isDrawing = true
    requestAnimationFrame(drawPending)
  }
}

function drawPending() {
  isDrawing = false
  if (pending.phones !== undefined && !pending.isAnew) drawPhones(pending.phones)
  if (isPaused) {
    if (!pending.isAnew) pending.phones = undefined
    byId('pause').textContent = pending.events.size ? `Resume, ${pending.events.size} new` : 'Resume'
    return
  }
  if (pending.isAnew) { // after a restart of the daemon, events are numbered anew
    forget()
    if (pending.phones !== undefined) drawPhones(pending.phones)
  }
  if (pending.count !== null) byId('count').textContent = pending.count.toLocaleString()
  drawEvents([...pending.events.values()])
  pending = nothing()
}

function forget() {
  events.clear()
  rows.clear()
  devices.clear()
  byId('trail').replaceChildren()
  byId('devices').replaceChildren()
}

function setConnection(state) {
  if (state === 'reconnecting' && connection !== state) lostAt = Date.now()
  connection = state
  drawHealth()
}

function connect() {
  const stream = new EventSource('/api/live') // it connects again by itself, unless somebody else answers
  heardAt = Date.now()
  let again = null
  const renew = (after) => {
    stream.close()
    clearInterval(watch)
    again ??= setTimeout(connect, after)
  }
  const watch = setInterval(() => { // a connection that leads nowhere breaks without a word
    if (Date.now() - heardAt < SILENCE) return
    setConnection('reconnecting')
    renew(0)
  }, 1_000)
  stream.addEventListener('error', () => {
    setConnection('reconnecting')
    if (stream.readyState === EventSource.CLOSED) renew(RECONNECT_AFTER)
  })
  stream.addEventListener('snapshot', ({ data }) => take(JSON.parse(data), true))
  stream.addEventListener('update', ({ data }) => take(JSON.parse(data), false))
  stream.addEventListener('beat', () => { heardAt = Date.now() })
}

byId('filter').addEventListener('click', ({ target }) => {
  if (target.dataset.end === undefined) return
  shown = target.dataset.end
  for (const button of byId('filter').children) button.setAttribute('aria-pressed', button === target)
  applyFilter()
})
byId('pause').addEventListener('click', ({ target }) => {
  isPaused = !isPaused
  target.setAttribute('aria-pressed', isPaused)
  target.textContent = isPaused ? 'Resume' : 'Pause'
  drawPending()
})
setInterval(tick, 10_000)

// What scrolls has to be reachable by keyboard, and what does not scroll is no stop on the way.
new ResizeObserver(([{ target }]) => {
  if (target.scrollWidth > target.clientWidth) target.tabIndex = 0
  else target.removeAttribute('tabindex')
}).observe(byId('devices'))

connect()
