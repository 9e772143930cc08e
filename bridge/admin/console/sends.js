// Notifications: a list, one of them, and what an operator does with one that is held; a send is in send_form.js. The
// address says what is shown. All is asked of the admin API.

import { actorIn, remember, remembered } from '/actor.js'
import { Problem, address, ask, drawPaging, fill, filters, link, listItem, partOf, query, views } from '/pages.js'
import { sendForm } from '/send_form.js'
import { byId, chip, counted, eventAddress, moment, number, platformName, put, stamp, visible } from '/text.js'

const API = '/api/v1/notifications'
const FILTERS = ['hub', 'state']
const PART = 50
const TONES = { Completed: 'good', NoTargetFound: 'bad', Abandoned: 'bad', Held: 'waiting', Scheduled: 'waiting' }
const OPEN = ['Enqueued', 'Scheduled', 'Held', 'Processing']

let shown = null // the notification that is shown

function outcomesOf({ outcomes }) {
  return byPlatform(outcomes)
}

function byPlatform(outcomes) {
  return Object.entries(outcomes).map(([platform, counts]) => `${platformName(platform)}: ${counted(counts)}`).join('; ')
}

function heldOf({ window: name, pushes, first_end: first, last_end: last }) {
  const what = pushes === null ? 'held' : `${number(pushes)} ${pushes === 1 ? 'push' : 'pushes'} held`
  const until = first === last ? moment(first) : `${moment(first)}, the last until ${moment(last)}`
  return `${what} by quiet hours of window ${name} until ${until}`
}

function detailOf(each) {
  if (each.silence && each.state === 'Held') return 'held until a silence ends'
  if (each.silence && each.state === 'Cancelled') return 'dropped by a silence'
  if (each.held_for) return `for ${each.held_for} registrations, waits for an approval`
  return [each.unreached && `reached nobody: ${each.unreached.replaceAll('_', ' ')}`, outcomesOf(each), each.quiet_hold && heldOf(each.quiet_hold)]
    .filter(Boolean).join('; ')
}

// The list

async function showList(isCurrent) {
  const parameters = query()
  drawFilters(parameters)
  const wanted = new URLSearchParams()
  for (const name of [...FILTERS, 'cursor']) if (parameters.get(name)) wanted.set(name, parameters.get(name))
  const [{ items, next }] = await Promise.all([partOf(API, wanted, isCurrent, { size: PART, most: 4 }), drawHubs()])
  if (!isCurrent()) return
  byId('sends').replaceChildren(...items.map(row))
  byId('empty').hidden = items.length > 0
  drawPaging('/sends', next)
  document.title = 'Sends: pushbridge'
}

function row(each) {
  const { element, parts } = stamp('send-row')
  element.dataset.tone = TONES[each.state] ?? 'quiet'
  parts.at.dateTime = each.accepted_at
  parts.at.textContent = moment(each.accepted_at)
  put(parts.hub, each.hub)
  put(parts.link, each.rule ? `rule ${each.rule}` : 'send')
  parts.link.setAttribute('aria-label', visible(`${each.rule ? `rule ${each.rule}` : 'send'}, notification ${each.id}`))
  link(parts.link, address(`/sends/${each.id}`))
  put(parts.audience, `to ${each.audience}`)
  parts.state.dataset.tone = TONES[each.state] ?? 'quiet'
  put(parts.state, each.state)
  put(parts.detail, detailOf(each))
  return element
}

// One

async function showOne(isCurrent) {
  const id = decodeURIComponent(location.pathname.replace(/^\/sends\//, ''))
  const found = await ask(`${API}/${encodeURIComponent(id)}`)
  if (!isCurrent()) return
  shown = found
  document.title = `Send ${found.id}: pushbridge`
  byId('one-title').replaceChildren('Send ', chip(found.state, TONES[found.state] ?? 'quiet'))
  link(byId('back'), address('/sends'))
  byId('cause').hidden = !(found.held_for || found.unreached)
  put(byId('cause'), detailOf({ ...found, outcomes: {}, quiet_hold: null }))
  byId('reasons').replaceChildren(...found.reasons.map(listItem))
  byId('naming').hidden = !OPEN.includes(found.state)
  byId('approve').hidden = found.state !== 'Held' || Boolean(found.silence)
  byId('stop').hidden = !OPEN.includes(found.state)
  fill(byId('facts'), [
    ['Id', found.id, eventAddress(found.id)],
    ['Hub', found.hub],
    ['Rule', found.rule || 'none: a send'],
    ['Event', found.event_id || 'none', found.event_id ? eventAddress(found.event_id) : ''],
    ['To', found.audience],
    ['Format', found.format],
    ['Accepted', moment(found.accepted_at)],
    ...(found.schedule_at ? [['Scheduled for', moment(found.schedule_at)]] : []),
    ...(found.expires_at ? [['Expires', moment(found.expires_at)]] : []),
    ...(found.ended_at ? [['Ended', moment(found.ended_at)]] : []),
    ...(found.silenced_by ? [['Silenced by', found.silenced_by]] : []),
    ...(found.quiet_hold ? [['Quiet hours', heldOf(found.quiet_hold)]] : []),
    ['Outcomes', outcomesOf(found) || 'none'],
    ['Phones said', byPlatform(found.reports) || 'nothing'],
    ...found.follow_ups.map((each) => ['Unless opened', followUp(each)]),
  ])
  byId('failures').replaceChildren(...found.failures.map(({ outcome, reason, count }) => listItem(`${count} ${outcome}: ${reason}`)))
  if (!found.failures.length) byId('failures').append('None.')
}

function followUp({ about, about_meaning: meaning, sinks, due, ended_at: endedAt, told, opened }) {
  if (about === 'expanded') return `nobody is told: ${meaning}`
  if (!endedAt) return `${sinks.join(', ')} at ${moment(due)}, of ${meaning}`
  const phones = `${told} ${told === 1 ? 'phone' : 'phones'}`
  return `looked at ${moment(endedAt)}: a report of ${phones} was written for ${sinks.join(', ')}, of ${meaning}; ${opened} had opened it`
}

async function act(what, said, unnamed) {
  const actor = actorIn(byId('name'), unnamed)
  try {
    await ask(`${API}/${shown.id}/${what}`, { content: {}, actor })
    remember(byId('name').value)
    await show({ tone: 'good', text: said })
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem
    const isNameMissing = !actor && problem.message.startsWith('Pushbridge-Actor:')
    put(byId('trouble'), isNameMissing ? 'Write your name: the audit keeps who approved it.' : problem.message)
    byId('trouble').hidden = false
    if (isNameMissing) byId('name').focus()
  }
}

// An approval needs a name, but for who has a token of their own, which the API alone knows: it is asked without one.
byId('approve').addEventListener('click', () => act('approve', 'Approved: it goes to whatever its audience is now.', ''))
byId('stop').addEventListener('click', () => act('cancel', 'Cancelled.'))
byId('name').value = remembered()

const { go, show } = views('/sends', { showList, showOne })
const drawFilters = filters('/sends', FILTERS, go)
const { drawHubs } = sendForm({
  target: null,
  onSent: ({ id }) => go(`/sends/${id}`, { tone: 'good', text: 'It is on its way.' }),
})
show()
