// Dead letters: a list with filters, one letter, and what an operator does with them. The address says what is shown, so
// that each view can be linked to and the way back leads to the list as it was. All is asked of the admin API.

import { actorIn, remember, remembered } from '/actor.js'
import { Problem, address, ask as asked, drawPaging, fill, filters, link, partOf, query, views } from '/pages.js'
import { byId, chip, clock, eventAddress, moment, put, stamp, visible } from '/text.js'

const API = '/api/v1/dead-letters'
const FILTERS = ['source', 'rule', 'reason']
const PART = 50
const AT_ONCE = 100 // letters of one request to replay, as the API takes them
const SHOWN_BODY = 256 * 1024 // characters

const OUTCOMES = {
  accepted: { tone: 'good', word: 'accepted', meaning: 'Rules of today take it.' },
  repeated: { tone: 'quiet', word: 'accepted before', meaning: 'All that it causes was accepted before: nothing happens.' },
  suppressed: { tone: 'quiet', word: 'suppressed', meaning: 'Flow control keeps back what it causes: it is done.' },
  no_match: { tone: 'waiting', word: 'no match', meaning: 'No rule of today is for it: it stays as it is.' },
  failed: { tone: 'bad', word: 'fails again', meaning: 'It stays, marked with the reason.' },
}

let letter = null // the one that is shown
let review = null // what the dialog is about

/** An answer of the admin API, with `content` to a change. Throws: Problem. */
function ask(path, content) {
  return asked(path, content && { content, actor: actorIn(byId('actor')) })
}

// The list

async function showList(isCurrent) {
  const parameters = query()
  drawFilters(parameters)
  for (const button of byId('search').querySelectorAll('[data-all]')) {
    button.setAttribute('aria-pressed', button.dataset.all === (parameters.get('all') ?? ''))
  }
  const asked = new URLSearchParams({ open: !parameters.get('all') })
  for (const name of [...FILTERS, 'cursor']) if (parameters.get(name)) asked.set(name, parameters.get(name))
  const { items, next } = await partOf(API, asked, isCurrent, { size: PART })
  if (!isCurrent()) return
  byId('letters').replaceChildren(...items.map(letterRow))
  byId('chosen').hidden = !items.length
  byId('every').checked = false
  choose()
  byId('empty').hidden = items.length > 0
  put(byId('empty'), emptyText(parameters))
  drawPaging('/dead-letters', next)
  document.title = 'Dead letters: pushbridge'
}

function emptyText(parameters) {
  const which = FILTERS.filter((name) => parameters.get(name)).map((name) => `${name} ${parameters.get(name)}`)
  const these = which.length ? ` with ${which.join(' and ')}` : ''
  return parameters.get('all') ? `There is no dead letter${these}.` : `No dead letter${these} is open. “All” shows those that a replay had accepted, too.`
}

function letterRow(each) {
  const { element, parts } = stamp('letter')
  element.dataset.tone = isDone(each) ? 'quiet' : 'bad'
  parts.choose.value = each.id
  parts.choose.setAttribute('aria-label', visible(`Choose dead letter ${each.id}`))
  parts.at.dateTime = each.at
  parts.at.textContent = moment(each.at)
  put(parts.source, each.source)
  put(parts.link, each.event_id || 'no id')
  link(parts.link, address(`/dead-letters/${each.id}`))
  put(parts.rule, each.rule ? `rule ${each.rule}` : 'no rule')
  put(parts.reason, each.reason)
  put(parts.detail, each.detail)
  if (each.replayed_at) {
    const [word] = each.replay.split(':')
    parts.replay.append(chip(isDone(each) ? 'replayed' : `replay: ${word}`, isDone(each) ? 'good' : 'waiting'))
  }
  return element
}

function isDone({ replay }) {
  return replay === 'accepted'
}

function chosen() {
  return [...byId('letters').querySelectorAll(':checked')].map((box) => Number(box.value))
}

function choose() {
  const count = chosen().length
  byId('chosen-count').textContent = count ? `${count} chosen` : 'Choose all on this page'
  byId('replay-chosen').disabled = byId('drop-chosen').disabled = !count
}

// One letter

async function showLetter(isCurrent) {
  const id = decodeURIComponent(location.pathname.replace(/^\/dead-letters\//, ''))
  const found = await ask(`${API}/${encodeURIComponent(id)}`)
  if (!isCurrent()) return
  letter = found
  const title = `Dead letter ${found.id}`
  document.title = `${title}: pushbridge`
  byId('one-title').replaceChildren(`${title} `, chip(found.reason, 'bad'))
  link(byId('back'), address('/dead-letters'))
  byId('cause').textContent = visible(found.detail)
  byId('replay-one').disabled = isDone(found)
  byId('replay-one').textContent = isDone(found) ? 'Replayed' : 'Replay…'
  fill(byId('facts'), factsOf(found))
  fill(byId('headers'), Object.entries(found.headers))
  byId('replays').replaceChildren(...found.replays.map(replayRow))
  if (!found.replays.length) byId('replays').append('Not replayed yet.')
  if (!Object.keys(found.headers).length) byId('headers').append('None.')
  drawBody(found)
}

function factsOf(found) {
  return [
    ['Received', `${new Date(found.at).toLocaleDateString()} ${clock(found.at, true)}`],
    ['Source', found.source],
    ['Event id', found.event_id, found.event_id && eventAddress(found.event_id, { source: found.source })],
    ['Rule', found.rule],
    ['Owner', found.owner],
    ['Stage', found.stage],
    ['Deliveries', String(found.tries)],
    ['Content type', found.content_type],
    ['Size', `${found.size.toLocaleString()} bytes`],
    ['Revision', found.revision],
    ['Configuration', found.config_hash],
    ['Trace', found.trace],
    ['Still to be published by', found.relay],
  ].filter(([, value]) => value)
}

function replayRow({ at, actor, outcome }) {
  const row = document.createElement('li')
  const [word, ...why] = outcome.split(': ')
  const time = document.createElement('time')
  time.dateTime = at
  time.textContent = moment(at)
  const text = document.createElement('span')
  put(text, [`by ${actor}`, ...why].join(': '))
  row.append(time, ' ', chip(word, word === 'accepted' ? 'good' : 'bad'), ' ', text)
  return row
}

/** As text, whatever it is; of a long one the beginning. */
function drawBody(found) {
  const body = found.body ?? found.body_base64 ?? ''
  const notes = []
  if (found.body_base64 !== null && found.body_base64 !== undefined) notes.push('The body is no UTF-8: this is its base64.')
  if (body.length > SHOWN_BODY) notes.push(`This is the beginning; pushbridge dead-letters show ${found.id} prints all of it.`)
  if (found.withheld) notes.push(found.withheld)
  else if (!body) notes.push('The body is empty.')
  byId('body-note').textContent = notes.join(' ')
  byId('body-note').hidden = !notes.length
  byId('body').hidden = !body
  byId('body').textContent = visible(body.slice(0, SHOWN_BODY))
}

// What is done

/** A replay is first tried, and what it would change is shown. */
async function reviewReplay(ids) {
  open({ ids, title: `Replay ${counted(ids.length)}?`, text: 'Asking what it would change…', button: 'Replay', act: replay })
  try {
    const items = await replayed(ids, true)
    if (review?.ids !== ids) return
    const isTaken = items.some(({ outcome }) => outcome === 'accepted')
    put(byId('review-text'), isTaken ? 'By the rules of today this would happen:' : 'By the rules of today nothing would be pushed:')
    byId('changes').replaceChildren(...items.map(changeRow))
    byId('changes').hidden = false
    byId('do').disabled = !isTaken
  } catch (problem) {
    refuse(problem)
  }
}

function reviewDrop(ids) {
  const text = 'They are forgotten for good, with headers and bodies. A row in the audit stays.'
  open({ ids, title: `Drop ${counted(ids.length)}?`, text, button: 'Drop', act: drop, isDanger: true })
  byId('do').disabled = false
}

function open(what) {
  review = what
  put(byId('review-title'), what.title)
  put(byId('review-text'), what.text)
  byId('review-trouble').hidden = byId('changes').hidden = true
  byId('changes').replaceChildren()
  byId('do').textContent = what.button
  byId('do').className = what.isDanger ? 'button danger' : 'button primary'
  byId('do').disabled = true
  byId('review').showModal()
}

function refuse(problem) {
  if (!(problem instanceof Problem)) throw problem
  put(byId('review-trouble'), problem.message)
  byId('review-trouble').hidden = false
  byId('do').disabled = true
  if (byId('changes').hidden) put(byId('review-text'), '')
}

function counted(number) {
  return number === 1 ? 'this dead letter' : `${number} dead letters`
}

function changeRow({ id, event_id: event, outcome, reason, detail, notifications, failures }) {
  const { element, parts } = stamp('change')
  const { tone, word, meaning } = OUTCOMES[outcome] ?? { tone: 'quiet', word: outcome, meaning: '' }
  put(parts.name, `${id}: ${event || 'no id'}`)
  parts.outcome.dataset.tone = tone
  put(parts.outcome, word)
  put(parts.meaning, [meaning, reason && `${reason}: ${detail}`].filter(Boolean).join(' '))
  parts.lines.append(
    ...notifications.map((one) => changeLine(one.is_new ? 'new' : 'accepted before', one.is_new ? 'good' : 'quiet', `rule ${one.rule || 'none'}, hub ${one.hub}, to ${one.expression}`)),
    ...failures.map((one) => changeLine('dead letter', 'bad', `rule ${one.rule}: ${one.reason}: ${one.detail}`)),
  )
  return element
}

function changeLine(word, tone, text) {
  const line = document.createElement('li')
  const rest = document.createElement('span')
  put(rest, text)
  line.append(chip(word, tone), ' ', rest)
  return line
}

/** All of them, in as many requests as it takes. Throws: Problem. */
async function replayed(ids, isDryRun) {
  const items = []
  let left = ids
  while (left.length) {
    const answer = await ask(`${API}/replay`, { ids: left.slice(0, AT_ONCE), dry_run: isDryRun })
    items.push(...answer.items)
    left = [...answer.left, ...left.slice(AT_ONCE)]
  }
  return items
}

async function replay(ids) {
  const items = await replayed(ids, false)
  const counts = {}
  for (const { outcome, reason } of items) {
    const { word } = OUTCOMES[outcome] ?? { word: outcome }
    const text = reason ? `${word} (${reason})` : word
    counts[text] = (counts[text] ?? 0) + 1
  }
  const pushed = items.flatMap(({ notifications, outcome }) => (outcome === 'accepted' ? notifications.filter((one) => one.is_new) : []))
  const said = Object.entries(counts).map(([word, count]) => `${count} ${word}`).join(', ') || 'they are there no more'
  const isGood = items.length > 0 && items.every(({ outcome }) => outcome === 'accepted' || outcome === 'repeated')
  return {
    tone: isGood ? 'good' : 'bad',
    text: `Replayed: ${said}; ${pushed.length} new ${pushed.length === 1 ? 'notification' : 'notifications'}.`,
  }
}

async function drop(ids) {
  const { dropped, missing } = await ask(`${API}/drop`, { ids })
  const gone = missing.length ? `; ${missing.length} were there no more` : ''
  return { tone: 'good', text: `Dropped: ${dropped.length}${gone}.` }
}

/** Do it, and go back to where the reader came from. */
async function act() {
  const what = review
  byId('do').disabled = true
  remember(byId('actor').value)
  try {
    const notice = await what.act(what.ids)
    byId('review').close()
    await go(address('/dead-letters'), notice)
  } catch (problem) {
    refuse(problem)
  }
}

const { go, show } = views('/dead-letters', { showList, showOne: showLetter })
const drawFilters = filters('/dead-letters', FILTERS, go)
byId('search').addEventListener('click', ({ target }) => {
  if (target.dataset.all !== undefined) go(address('/dead-letters', { all: target.dataset.all, cursor: '' }))
})
byId('every').addEventListener('change', ({ target }) => {
  for (const box of byId('letters').querySelectorAll('[data-part=choose]')) box.checked = target.checked
  choose()
})
byId('letters').addEventListener('change', choose)
byId('replay-chosen').addEventListener('click', () => reviewReplay(chosen()))
byId('drop-chosen').addEventListener('click', () => reviewDrop(chosen()))
byId('replay-one').addEventListener('click', () => reviewReplay([letter.id]))
byId('drop-one').addEventListener('click', () => reviewDrop([letter.id]))
byId('do').addEventListener('click', act)
byId('review').addEventListener('close', () => (review = null))

byId('actor').value = remembered()
show()
