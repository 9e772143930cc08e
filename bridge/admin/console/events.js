// The journal: a list of events with filters, and of one event or notification why its pushes came, or did not. The address
// says what is shown, so that each view can be linked to. All is asked of the admin API, as `pushbridge why` does.

import { drawLook } from '/looks.js'
import { Problem, address, ask, drawPaging, fill, filters, partOf, query, views } from '/pages.js'
import { ruleRow } from '/rule_rows.js'
import { byId, chip, clock, eventAddress, moment, platformName, put, stamp, visible } from '/text.js'

const API = '/api/v1'
const FILTERS = ['source', 'outcome', 'id', 'until', 'device', 'which']
const PART = 50
const MOST_PARTS = 20 // that are looked through at once where filters let little through
const SHOWN_DATA = 256 * 1024 // characters

const OUTCOMES = {
  accepted: { word: 'accepted', tone: 'good' },
  no_match: { word: 'no match', tone: 'quiet' },
  duplicate: { word: 'seen before', tone: 'quiet' },
  suppressed: { word: 'suppressed', tone: 'quiet' },
  dead_letter: { word: 'dead letter', tone: 'bad' },
}
const STATE_TONES = { Completed: 'good', Abandoned: 'bad', Enqueued: 'waiting', Processing: 'waiting' }
const OUTCOME_TONES = { Success: 'good', RefreshToken: 'good', Skipped: 'quiet', NoTargets: 'quiet' }
const ANSWER_TONES = { delivered: 'good', failed: 'bad', dead: 'bad', waiting: 'waiting', under_way: 'waiting', audience_unknown: 'waiting' }

// The list

async function showList(isCurrent) {
  const parameters = query()
  drawFilters(parameters)
  const { items, next } = await found(parameters, isCurrent)
  if (!isCurrent()) return
  byId('entries').replaceChildren(...items.map((each) => entryRow(each, parameters.get('device'))))
  byId('empty').hidden = items.length > 0
  put(byId('empty'), emptyText(parameters, next))
  drawPaging('/events', next)
  document.title = 'Journal: pushbridge'
}

function found(parameters, isCurrent) {
  const asked = new URLSearchParams()
  for (const name of ['source', 'outcome', 'id', 'cursor']) if (parameters.get(name)) asked.set(name, parameters.get(name))
  const until = new Date(parameters.get('until') ?? '')
  if (!Number.isNaN(until.getTime())) asked.set('until', new Date(until.getTime() + 999).toISOString()) // to its end
  const device = deviceOnly(parameters)
  if (device) asked.set('installation', device)
  return partOf(`${API}/journal`, asked, isCurrent, { size: PART, most: MOST_PARTS })
}

/** The device whose events alone are to be shown. */
function deviceOnly(parameters) {
  return (parameters.get('which') === 'device' && parameters.get('device')) || ''
}

function emptyText(parameters, next) {
  if (next) return 'None in this part of the journal: an older part may have some.'
  const isFiltered = ['source', 'outcome', 'id', 'until'].some((name) => parameters.get(name)) || deviceOnly(parameters)
  return isFiltered ? 'No such event is kept.' : 'No event is kept. Events come here as rules take them, for as long as journal.events says.'
}

function entryRow(each, device) {
  const { element, parts } = stamp('entry')
  const { word, tone } = OUTCOMES[each.outcome] ?? { word: each.outcome, tone: 'quiet' }
  element.dataset.tone = each.dead_letters ? 'bad' : tone
  parts.at.dateTime = each.received_at
  parts.at.textContent = moment(each.received_at)
  put(parts.source, each.source)
  put(parts.link, each.id)
  parts.link.href = eventAddress(each.id, { source: each.source, device })
  put(parts.type, each.type)
  parts.outcome.dataset.tone = tone
  put(parts.outcome, word)
  put(parts.detail, detailOf(each))
  return element
}

function detailOf({ reason, detail, rules, notifications, dead_letters: letters }) {
  const counts = [counted(notifications, 'notification'), counted(letters, 'dead letter')].filter(Boolean).join(', ')
  const why = [reason, detail].filter(Boolean).join(': ')
  return [rules.length && `${rules.length === 1 ? 'rule' : 'rules'} ${rules.join(', ')}`, counts, why].filter(Boolean).join('; ')
}

function counted(number, word) {
  return number ? `${number.toLocaleString()} ${word}${number === 1 ? '' : 's'}` : ''
}

// One event, or one notification

/** The page's address is the API's, but for what stands before it and after it. */
async function showOne(isCurrent) {
  const asked = new URLSearchParams([...query()].filter(([name, value]) => value && ['id', 'source', 'device'].includes(name)))
  let trace
  try {
    trace = await ask(`${API}${location.pathname}/trace?${asked}`)
  } catch (problem) {
    if (!(problem instanceof Problem) || problem.status !== 400 || asked.get('source')) throw problem
    return chooseSource(problem)
  }
  if (!isCurrent()) return
  const device = asked.get('device') ?? ''
  drawHead(trace)
  byId('ask').elements.device.value = device
  byId('ask').hidden = !trace.outcome && !trace.notifications.length
  put(byId('device-note'), absentDevice(trace))
  byId('device-note').hidden = !absentDevice(trace)
  draw('notifications', [
    ...trace.notifications.map((each) => notificationPart(each, device)),
    ...trace.failures.map((each) => letterPart(each, trace)),
    ...trace.suppressed.map(suppressedPart),
    ...trace.cancelled.map(cancelledPart),
    ...trace.gone.map(gonePart),
  ])
  draw('rules', trace.rules.map(ruleRow))
  byId('rules-part').hidden = !trace.rules.length && !trace.rules_missing
  put(byId('rules-note'), sentence(trace.rules_missing))
  byId('rules-note').hidden = !trace.rules_missing
  drawData(trace)
  byId('back').href = address('/events', { id: '', source: '' })
}

/** Several sources have an event of this id: they are listed, each with its own address. */
function chooseSource(problem) {
  const id = query().get('id') ?? decodeURIComponent(location.pathname.replace(/^\/events\//, ''))
  history.replaceState(null, '', address('/events', { id }))
  return show({ tone: 'bad', text: problem.message })
}

/** Of the device that was asked for, where no notification says what it got. */
function absentDevice({ device, notifications, gone }) {
  if (device === null || notifications.length) return ''
  const sent = gone.length ? 'what was sent is not kept any more' : 'of this event nothing was sent to any device'
  const remote = device.remote_hubs.length ? `, and the devices of ${device.remote_hubs.join(', ')} are not known here` : ''
  return `Device ${device.id} is ${device.hubs.length ? `in ${device.hubs.join(', ')}` : `in no hub here${remote}`}; ${sent}.`
}

function sentence(text) {
  return text && `${text[0].toUpperCase()}${text.slice(1)}.`
}

function draw(part, rows) {
  byId(part).replaceChildren(...rows)
  byId(`${part}-part`).hidden = !rows.length
}

function drawHead(trace) {
  const [first] = trace.notifications
  const name = trace.outcome ? trace.id : `Notification ${first.id}`
  const { word, tone } = OUTCOMES[trace.outcome] ?? { word: trace.outcome, tone: 'quiet' }
  const title = document.createElement('span')
  put(title, name)
  byId('one-title').replaceChildren(title, ...(trace.outcome ? [' ', chip(word, tone)] : []))
  document.title = `${visible(name).slice(0, 100)}: pushbridge`
  const why = [trace.reason, trace.detail].filter(Boolean).join(': ')
  byId('cause').textContent = visible([trace.meaning, why].filter(Boolean).join('\n'))
  fill(byId('facts'), factsOf(trace))
  byId('facts').hidden = !trace.outcome && !trace.id
}

function factsOf(trace) {
  const configuration = versionText(trace.revision, trace.config_hash)
  const isKnown = !trace.same_configuration && trace.config_hash_now
  const changed = isKnown ? `; now ${versionText(trace.revision_now, trace.config_hash_now)}` : ''
  return [
    ['Received', trace.at && precise(trace.at)],
    ['Source', trace.source],
    ['Owner', trace.owner],
    ['Type', trace.type],
    ['Subject', trace.subject],
    ['Time of the event', trace.time],
    ['Ended at', trace.reason && trace.stage],
    ['Event id', trace.outcome ? '' : trace.id],
    ['Configuration', configuration && configuration + changed],
    ['Trace', trace.traceparent],
  ].filter(([, value]) => value)
}

function versionText(revision, hash) {
  return [revision && `revision ${revision}`, hash].filter(Boolean).join(', ')
}

function precise(at) {
  return `${new Date(at).toLocaleDateString()} ${clock(at, true)}`
}

function notificationPart(each, device) {
  const { element, parts } = stamp('notification')
  const { unreached } = each
  const tone = each.state === 'Completed' && unreached ? 'bad' : STATE_TONES[each.state] ?? 'quiet'
  element.dataset.tone = tone
  put(parts.title, each.rule ? `Rule ${each.rule}` : 'A send')
  parts.state.dataset.tone = tone
  put(parts.state, each.state)
  const count = counted(each.unreached_count, 'registration')
  const why = unreached && `No device reached: ${each.unreached_meaning}${count && ` (${count})`}.`
  parts.meaning.textContent = visible([each.state_meaning, why].filter(Boolean).join('\n'))
  parts.waits.append(...each.waits_for.map((wait) => line(`Waits for: ${wait}`)))
  for (const [platform, counts] of Object.entries(each.outcomes)) {
    for (const [name, count] of Object.entries(counts)) {
      parts.outcomes.append(chip(`${platformName(platform)}: ${count.toLocaleString()} ${name}`, OUTCOME_TONES[name] ?? 'bad'))
    }
  }
  parts.failures.append(...each.failures.map(({ outcome, reason, count }) => line([`${count.toLocaleString()} ${outcome}`, reason].filter(Boolean).join(': '))))
  fill(parts.facts, notificationFacts(each))
  if (each.device !== null) drawDevice(parts.device, each, device)
  return element
}

function notificationFacts(each) {
  return [
    ['Hub', each.hub],
    ['To', each.audience],
    ['Format', each.format],
    ['Scheduled for', each.schedule_at && precise(each.schedule_at)],
    ['Expires', each.expires_at && precise(each.expires_at)],
    ['Ended', each.ended_at && precise(each.ended_at)],
    ['Cancelled by', each.cancelled_by],
    ['Id', each.id, eventAddress(each.id)],
  ].filter(([, value]) => value)
}

function drawDevice(place, { id, device: registrations, hub, device_hubs: others, remote: isRemote }, device) {
  const title = document.createElement('h4')
  const there = others.length ? `; there is one in ${others.join(', ')}` : ''
  if (isRemote) put(title, `Registrations are known to the remote hub ${hub} alone: ask there`)
  else put(title, registrations.length ? `On device ${device}` : `The hub ${hub} has no device ${device}${there}`)
  const list = document.createElement('ul')
  // of a phone with templates they say it all
  list.append(...registrations.filter(({ answer }) => answer !== 'no_template' || registrations.length === 1).map(registrationRow))
  place.replaceChildren(title, ...(registrations.length ? [list] : []))
  if (registrations.length && !isRemote) addLooks(place, { hub, device, id, platform: registrations[0].platform })
}

/** What the device shows of it, for those who may see payloads. */
async function addLooks(place, { hub, device, id, platform }) {
  let items
  try {
    ;({ items } = await ask(`${API}/hubs/${encodeURIComponent(hub)}/devices/${encodeURIComponent(device)}/received?limit=100`))
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem
    return
  }
  const sent = items.filter(({ notification, payload }) => notification === id && payload !== null)
  if (!sent.length) return
  const looks = document.createElement('div')
  looks.className = 'looks'
  looks.append(...sent.map(({ headers, payload }) => drawLook({ platform, headers, body: payload })))
  place.append(looks)
}

function registrationRow(each) {
  const { element, parts } = stamp('registration')
  parts.answer.dataset.tone = ANSWER_TONES[each.answer] ?? 'quiet'
  put(parts.answer, each.answer.replaceAll('_', ' '))
  put(parts.name, `${platformName(each.platform)}, ${each.template === null ? 'native registration' : `template ${each.template}`}`)
  parts.meaning.textContent = visible(`${[each.meaning, ...whyOf(each)].join('; ')}.`)
  return element
}

function whyOf(each) {
  const ended = [each.outcome, each.reason].filter(Boolean).join(': ')
  return [
    each.missing.length && `properties that are missing: ${each.missing.join(', ')}`,
    each.unmet && `not met: ${each.unmet}`,
    ended,
    each.at && `at ${precise(each.at)}`,
    each.due_at && `tried next at ${precise(each.due_at)}, try ${each.attempt + 1}`,
  ].filter(Boolean)
}

function letterPart({ rule, reason, detail }, { source }) {
  const { element, parts } = stamp('notification')
  element.dataset.tone = 'bad'
  put(parts.title, rule ? `Rule ${rule}` : 'The event')
  const to = document.createElement('a')
  to.href = `/dead-letters?${new URLSearchParams({ source, rule, reason })}`
  to.className = 'chip'
  to.dataset.tone = 'bad'
  put(to, `dead letter: ${reason}`)
  parts.state.replaceWith(to)
  parts.meaning.textContent = visible(detail)
  return element
}

function suppressedPart({ rule, cause, meaning, digest }) {
  const { element, parts } = stamp('notification')
  element.dataset.tone = 'quiet'
  put(parts.title, `Rule ${rule}`)
  parts.state.dataset.tone = 'quiet'
  put(parts.state, `suppressed: ${cause}`)
  put(parts.meaning, [meaning, digest && `The event is counted into notification ${digest}.`].filter(Boolean).join(' '))
  return element
}

function cancelledPart({ rule, notification, of }) {
  const { element, parts } = stamp('notification')
  element.dataset.tone = 'quiet'
  put(parts.title, `Rule ${rule}`)
  parts.state.dataset.tone = 'quiet'
  put(parts.state, 'cancels')
  put(parts.meaning, `The event withdrew notification ${notification} of rule ${of}, which waited.`)
  return element
}

function gonePart(id) {
  const { element, parts } = stamp('notification')
  element.dataset.tone = 'quiet'
  put(parts.title, `Notification ${id}`)
  parts.state.remove()
  put(parts.meaning, 'It is past its time, and not kept any more.')
  return element
}

function line(text) {
  const element = document.createElement('li')
  put(element, text)
  return element
}

/** As text, whatever it is; of a long one the beginning. */
function drawData({ outcome, data, meta, values_kept: isKept, withheld, values_missing: missing }) {
  const areKept = isKept && !withheld
  const isEvent = outcome !== ''
  const text = areKept ? JSON.stringify(data, null, 2) : ''
  byId('data-title').hidden = !isEvent
  byId('data').hidden = !areKept
  byId('data').textContent = visible(text.slice(0, SHOWN_DATA))
  const isLong = text.length > SHOWN_DATA
  const notKept = missing || 'The event could not be read: it has no values.'
  byId('data-note').hidden = !isEvent || (areKept && !isLong)
  byId('data-note').textContent = areKept ? 'This is the beginning; pushbridge why prints all of it.' : withheld ? sentence(withheld) : notKept
  const hasMeta = areKept && meta !== null && Object.keys(meta).length > 0
  byId('meta-part').hidden = !hasMeta
  byId('meta').textContent = hasMeta ? visible(JSON.stringify(meta, null, 2).slice(0, SHOWN_DATA)) : ''
}

const { go, show } = views('/events', { showList, showOne })
const drawFilters = filters('/events', FILTERS, go)
byId('ask').addEventListener('submit', (event) => {
  event.preventDefault()
  go(address(location.pathname, { device: byId('ask').elements.device.value.trim() }))
})

show()
