// The playground: an event is tried on a draft of the rules. The daemon runs it in a process of its own and sends nothing;
// what is drawn here is its answer. Drafts stay in this page.

import { actorIn, remembered } from '/actor.js'
import { drawLook } from '/looks.js'
import { Problem, ask, fill, listItem } from '/pages.js'
import { ruleRow } from '/rule_rows.js'
import { byId, countedByPlatform, moment, number, platformName, put, stamp, visible } from '/text.js'

const API = '/api/v1'
const WAIT = 900 // milliseconds of rest after which what was typed is tried
const OUTCOMES = { accepted: 'good', no_match: 'quiet', duplicate: 'quiet', dead_letter: 'bad', rejected: 'bad' }

const form = byId('draft').elements
let begun = '' // the rules that the draft began with
let mayTry = false
let test = ''
let timer = 0
let isRunning = false
let isStale = false // changed while a try was under way

// What it begins with

async function begin() {
  const draft = await ask(`${API}/playground`)
  begun = form.rules.value = draft.rules
  mayTry = draft.may_try
  form.source.replaceChildren(...draft.sources.map(({ name, title }) => new Option(`${visible(name)} (${title})`, name)))
  drawNumbers()
  byId('try').disabled = form.live.disabled = !mayTry
  if (!mayTry) showTrouble('To try an event needs the role operator: set listeners.admin.auth, and come with such a token.')
  else if (!draft.sources.length) showTrouble('The configuration has no source, so no event can be tried.')
  await drawRecent()
}

async function drawRecent() {
  const { items } = await ask(`${API}/journal?limit=30`)
  form.recent.append(
    ...items.map(({ id, source, type, received_at: at }) => new Option(visible(`${moment(at)}  ${type || 'not decoded'}  ${id}`).slice(0, 120), JSON.stringify([id, source]))),
  )
  form.recent.closest('label').hidden = !items.length
}

async function takeRecent() {
  byId('recent-note').hidden = true
  if (!form.recent.value) return
  const [id, source] = JSON.parse(form.recent.value)
  const message = await ask(`${API}/playground/recent?${new URLSearchParams({ id, source })}`)
  const note = message.missing || (message.masked && 'Its values may be personal: the copy has others of the same kinds in their places. The role admin gets them as they are.')
  put(byId('recent-note'), note ? `${note[0].toUpperCase()}${note.slice(1)}${note.endsWith('.') ? '' : '.'}` : '')
  byId('recent-note').hidden = !note
  if (message.missing) return
  form.source.value = message.source
  form.body.value = message.body
  form.headers.value = lines(message.headers)
  form.meta.value = lines(message.meta)
  form.content_type.value = message.meta.content_type ?? ''
  changed()
}

function lines(values) {
  return Object.entries(values).filter(([name]) => name !== 'content_type').map(([name, value]) => `${name}: ${value}`).join('\n')
}

function parsed(text) {
  const pairs = text.split('\n').filter((line) => line.trim()).map((line) => {
    const at = line.indexOf(':')
    return at < 0 ? [line.trim(), ''] : [line.slice(0, at).trim(), line.slice(at + 1).trim()]
  })
  return Object.fromEntries(pairs)
}

// A try

async function tryIt() {
  clearTimeout(timer)
  if (!mayTry) return
  if (isRunning) {
    isStale = true
    return
  }
  isRunning = true
  isStale = false
  byId('state').textContent = 'Trying…'
  try {
    draw(await ask(`${API}/playground`, { content: request(), actor: actorIn({ value: remembered() }) }))
    byId('state').textContent = ''
    byId('trouble').hidden = true
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem
    byId('state').textContent = ''
    byId('copy-test').disabled = true
    byId('result').dataset.old = ''
    showTrouble(problem.message)
  } finally {
    isRunning = false
  }
  if (isStale) later()
}

function request() {
  const typed = {
    source: form.source.value,
    body: form.body.value,
    headers: parsed(form.headers.value),
    meta: parsed(form.meta.value),
    content_type: form.content_type.value.trim(),
    locale: form.locale.value.trim(),
    rules: form.rules.value,
  }
  return JSON.parse(JSON.stringify(typed).replace(/\\ud[89a-f][0-9a-f]{2}/g, '\ufffd')) // halves of characters are none
}

function changed() {
  byId('copy-test').disabled = true
  if (!byId('result').hidden) byId('result').dataset.old = ''
  if (form.live.checked) later()
}

function later() {
  clearTimeout(timer)
  timer = setTimeout(tryIt, WAIT)
}

// What came of it

function draw(tried) {
  test = tried.test
  byId('copy-test').disabled = !test
  drawProblems(tried.problems)
  const isRefused = tried.problems.some(({ severity }) => severity === 'error')
  byId('result').hidden = isRefused
  delete byId('result').dataset.old
  const open = tried.not_enforced.join(', ')
  put(byId('not-enforced'), open && `On this machine nothing keeps a try from: ${open}.`)
  byId('not-enforced').hidden = !open
  byId('events').replaceChildren(...tried.events.map((event, index) => eventPart(event, index, tried.count)))
  if (tried.count > tried.events.length) byId('events').append(`The first ${tried.events.length} of ${number(tried.count)} records are shown.`)
}

function drawProblems(problems) {
  byId('problems').replaceChildren(
    ...problems.map((problem) => {
      const [item, button, place] = [document.createElement('li'), document.createElement('button'), document.createElement('b')]
      button.type = 'button'
      button.className = 'problem'
      button.dataset.tone = problem.severity === 'error' ? 'bad' : 'waiting'
      place.textContent = problem.line ? `Line ${problem.line}, column ${problem.column}` : 'In the rest of the configuration'
      const said = [problem.key, problem.message].filter(Boolean).join(': ')
      button.append(place, ` ${visible(said)}${problem.hint ? ` (${visible(problem.hint)})` : ''}`)
      button.disabled = !problem.line
      button.addEventListener('click', () => goTo(problem))
      item.append(button)
      return item
    }),
  )
}

function goTo({ line, column }) {
  const before = form.rules.value.split('\n').slice(0, line - 1)
  const at = before.join('\n').length + (before.length ? 1 : 0) + column - 1
  form.rules.focus()
  form.rules.setSelectionRange(at, at)
  form.rules.scrollTop = Math.max(0, (line - 4) * Number.parseFloat(getComputedStyle(form.rules).lineHeight))
}

function eventPart(event, index, count) {
  const { element, parts } = stamp('tried-event')
  const name = event.event ? `${event.event.type || 'event'} ${event.event.id}` : 'A message that is no event'
  put(parts.name, count > 1 ? `Record ${index + 1}: ${name}` : name)
  put(parts.outcome, event.outcome.replaceAll('_', ' '))
  parts.outcome.dataset.tone = OUTCOMES[event.outcome] ?? 'quiet'
  parts.why.textContent = visible([event.reason, event.detail].filter(Boolean).join(': '))
  parts.pushes.append(...event.notifications.map(pushPart), ...event.failures.map(failure))
  parts.rules.append(...event.rules.map((rule) => ruleRow(placed(rule))))
  parts.rules.hidden = !event.rules.length
  const others = event.rules_of_other_sources
  put(parts.others, others ? `${number(others)} ${others === 1 ? 'rule is' : 'rules are'} for other sources.` : '')
  const flow = Object.entries(event.flow ?? {}).flatMap(([rule, said]) => said.map((each) => `Rule ${rule}: ${each}`))
  parts.flow.replaceChildren(...flow.map(listItem))
  parts.flow.hidden = parts.alone.hidden = !flow.length
  parts.data.textContent = visible(JSON.stringify({ ...event.event, data: event.data }, null, 2))
  parts.decoded.hidden = !event.event
  return element
}

/** A rule with its places in words: `3:5: rules[0]` is line 3, column 5. */
function placed(rule) {
  const words = (place) => place.replace(/^(\d+):(\d+): /, 'line $1, column $2: ')
  return { ...rule, place: words(rule.place), condition: rule.condition && { ...rule.condition, place: words(rule.condition.place) } }
}

function failure({ rule, reason, detail }) {
  const { element, parts } = stamp('tried-push')
  element.dataset.tone = 'bad'
  put(parts.rule, `Rule ${rule}`)
  parts.count.dataset.tone = 'bad'
  put(parts.count, `dead letter: ${reason}`)
  parts.reasons.append(listItem(detail))
  return element
}

function pushPart(push) {
  const { element, parts } = stamp('tried-push')
  put(parts.rule, `Rule ${push.rule}`)
  parts.to.textContent = visible(push.only_to ? `${push.to}, only to ${push.only_to}` : push.to)
  const total = push.reach?.total ?? 0
  parts.count.dataset.tone = push.remote || !push.reach ? 'quiet' : total ? 'good' : 'waiting'
  put(parts.count, reached(push, total))
  parts.reasons.append(...[...(push.reach?.reasons ?? []), ...push.kept_back].map(listItem))
  fill(parts.facts, facts(push))
  parts.looks.append(...push.payloads.map((each) => look(push, each)))
  return element
}

function reached(push, total) {
  if (push.remote) return `through the remote hub ${push.hub}`
  if (!push.reach) return 'whom it reaches was not asked'
  return total ? `${number(total)} ${total === 1 ? 'push' : 'pushes'} now: ${countedByPlatform(push.reach.counts)}` : 'reaches nobody now'
}

function facts(push) {
  const properties = Object.entries(push.content.properties ?? {})
  return [
    ['Hub', push.hub],
    ...properties,
    ['Priority', push.priority],
    ['Replaces by', push.collapse],
    ['Sent at', push.schedule_at],
    ['Worth it until', push.expires_at && moment(push.expires_at)],
    ['Told of it', push.report_to.join(', ')],
  ].filter(([, value]) => value)
}

function look(push, { platform, registrations, missing, shown, refused, headers, body }) {
  const isNative = Boolean(push.content.native)
  const notes = [
    registrations ? found(registrations, isNative) : isNative ? '' : 'No phone has a template for it: this is a usual one.',
    shown && `The text of the language ${shown.locale}.`,
    missing.length && `The template reads what the rule does not say: ${missing.join(', ')}.`,
    refused && `Not sent: ${refused}.`,
  ].filter(Boolean)
  return drawLook({ platform, headers, body, title: platformName(platform), notes })
}

function found(registrations, isNative) {
  const who = registrations === 1 ? 'One registration' : `${number(registrations)} registrations`
  return isNative ? `${who} of those looked at.` : `${who} of those looked at ${registrations === 1 ? 'has' : 'have'} this template.`
}

// The editor

function drawNumbers() {
  const count = form.rules.value.split('\n').length
  byId('numbers').textContent = Array.from({ length: count }, (_, index) => index + 1).join('\n')
  byId('numbers').scrollTop = form.rules.scrollTop
}

function showTrouble(message) {
  put(byId('trouble'), message)
  byId('trouble').hidden = false
}

async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text)
  } catch {
    const area = document.createElement('textarea') // a page without TLS has no clipboard
    area.value = text
    area.className = 'unseen'
    document.body.append(area)
    area.select()
    document.execCommand('copy')
    area.remove()
    button.focus()
  }
  byId('state').textContent = 'Copied.'
}

async function guarded(work) {
  try {
    await work()
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem
    showTrouble(problem.message)
  }
}

byId('draft').addEventListener('submit', (event) => {
  event.preventDefault()
  tryIt()
})
byId('draft').addEventListener('input', (event) => {
  if (event.target === form.rules) drawNumbers()
  if (event.target !== form.recent && event.target !== form.live) changed()
})
form.recent.addEventListener('change', () => guarded(takeRecent))
form.rules.addEventListener('scroll', () => (byId('numbers').scrollTop = form.rules.scrollTop))
byId('copy-rules').addEventListener('click', (event) => copy(form.rules.value, event.target))
byId('copy-test').addEventListener('click', (event) => copy(test, event.target))
byId('again').addEventListener('click', () => {
  form.rules.value = begun
  drawNumbers()
  changed()
})

guarded(begin)
