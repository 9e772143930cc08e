// Notifications: a list, one of them, a send with its preview, and what an operator does with one that is held. The address
// says what is shown. All is asked of the admin API.

import { Problem, address, ask as asked, drawPaging, fill, filters, link, partOf, query, views } from '/pages.js'
import { byId, chip, eventAddress, moment, put, stamp, visible } from '/text.js'

const API = '/api/v1/notifications'
const FILTERS = ['hub', 'state']
const PART = 50
const TONES = { Completed: 'good', NoTargetFound: 'bad', Abandoned: 'bad', Held: 'waiting', Scheduled: 'waiting' }
const OPEN = ['Enqueued', 'Scheduled', 'Held', 'Processing']

let shown = null // the notification that is shown
let previewed = null // the body of the request that was previewed last, and what was said of it

function ask(path, content) {
  return asked(path, content && { content, actor: actor() })
}

/** Who acts, in the characters that a header may have. */
function actor() {
  return byId('actor').value.replace(/[^\x20-\x7e\xa1-\xff]/g, '?').trim() || 'console'
}

function counted(counts) {
  return Object.entries(counts).map(([name, count]) => `${name} ${count}`).join(', ')
}

function outcomesOf({ outcomes }) {
  return Object.entries(outcomes).map(([platform, counts]) => `${platform}: ${counted(counts)}`).join('; ')
}

function detailOf(each) {
  if (each.held_for) return `for ${each.held_for} registrations, waits for an approval`
  return [each.unreached && `reached nobody: ${each.unreached.replaceAll('_', ' ')}`, outcomesOf(each)].filter(Boolean).join('; ')
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
  put(byId('cause'), detailOf({ ...found, outcomes: {} }))
  byId('reasons').replaceChildren(...found.reasons.map(item))
  byId('approve').hidden = found.state !== 'Held'
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
    ['Outcomes', outcomesOf(found) || 'none'],
  ])
  byId('failures').replaceChildren(...found.failures.map(({ outcome, reason, count }) => item(`${count} ${outcome}: ${reason}`)))
  if (!found.failures.length) byId('failures').append('None.')
}

function item(text) {
  const element = document.createElement('li')
  put(element, text)
  return element
}

async function act(what, said) {
  try {
    await ask(`${API}/${shown.id}/${what}`, {})
    await show({ tone: 'good', text: said })
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem
    put(byId('trouble'), problem.message)
    byId('trouble').hidden = false
  }
}

// A send

const form = byId('send').elements

async function drawHubs() {
  if (form.hub.options.length) return
  const { hubs } = await ask('/api/v1/status')
  form.hub.replaceChildren(...hubs.filter(({ remote }) => !remote).map(({ name }) => new Option(visible(name), name)))
}

function bodyOf() {
  const [to, whom] = [form.to.value, form.whom.value.trim()]
  return {
    device: to === 'device' ? whom : '',
    tags: to === 'tags' ? whom : '',
    everyone: to === 'everyone',
    properties: Object.fromEntries(['title', 'body'].filter((name) => form[name].value).map((name) => [name, form[name].value])),
  }
}

function forget() {
  previewed = null
  byId('go').disabled = true
  byId('preview').hidden = byId('send-trouble').hidden = true
}

async function preview() {
  forget()
  const [hub, body] = [form.hub.value, bodyOf()]
  const found = await ask(`/api/v1/hubs/${encodeURIComponent(hub)}/preview`, body)
  previewed = { hub, body: { ...body, confirm: found.confirm ?? 0 } }
  const pushes = `make ${found.total} ${found.total === 1 ? 'push' : 'pushes'}: ${counted(found.counts)}`
  const reached = found.total ? pushes : `reach nobody: ${found.unreached_meaning}`
  put(byId('reach'), `It would ${reached}${found.only_to ? ` (only to ${found.only_to})` : ''}.`)
  byId('lacking').replaceChildren(...found.reasons.map(item))
  byId('samples').replaceChildren(
    ...found.samples.map((each) => item([each.platform, each.device, each.user, each.template ?? 'native', each.push_channel].filter(Boolean).join(' · '))),
  )
  byId('confirm').hidden = !found.confirm
  byId('confirmed').checked = false
  byId('confirm-text').textContent = `It is for ${found.confirm} registrations, and I mean that.`
  byId('preview').hidden = false
  byId('go').disabled = !found.total || Boolean(found.confirm)
}

async function send() {
  const { hub, body } = previewed
  const sent = await ask(`/api/v1/hubs/${encodeURIComponent(hub)}/notifications`, body)
  forget()
  await go(`/sends/${sent.id}`, { tone: 'good', text: 'It is on its way.' })
}

async function tried(work) {
  try {
    await work()
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem
    put(byId('send-trouble'), problem.message)
    byId('send-trouble').hidden = false
  }
}

const HINTS = { device: 'the id of a phone', tags: 'such as team:hr && !vip', everyone: '' }

byId('send').addEventListener('submit', (event) => {
  event.preventDefault()
  tried(preview)
})
byId('send').addEventListener('input', (event) => {
  if (event.target.id === 'confirmed') byId('go').disabled = !event.target.checked
  else if (event.target.id !== 'actor') forget()
  form.whom.disabled = form.to.value === 'everyone'
  form.whom.placeholder = HINTS[form.to.value]
})
byId('go').addEventListener('click', () => tried(send))
byId('approve').addEventListener('click', () => act('approve', 'Approved: it goes to whatever its audience is now.'))
byId('stop').addEventListener('click', () => act('cancel', 'Cancelled.'))

const { go, show } = views('/sends', { showList, showOne })
const drawFilters = filters('/sends', FILTERS, go)
show()
