// What pages of a list and of one thing of it share: the admin API, views by their address, parts of lists, facts in pairs.

import { byId, number, put, visible } from '/text.js'

export class Problem extends Error {
  constructor(message, status = 0) {
    super(message)
    this.status = status
  }
}

/** An answer of the admin API, to a GET or to the `change` with its content. Throws: Problem: what was said instead. */
export async function ask(path, change) {
  const more = change && {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'pushbridge-actor': change.actor },
    body: JSON.stringify(change.content),
  }
  let response
  try {
    response = await fetch(path, { cache: 'no-store', ...more })
  } catch {
    throw new Problem('No daemon answers. Try again.')
  }
  let answer = {}
  try {
    answer = exact(await response.text())
  } catch {
    // no JSON: what stands between answered
  }
  if (!response.ok) throw new Problem(answer.detail ?? `The answer was ${response.status} ${response.statusText}.`, response.status)
  return answer
}

/** The hubs whose devices are registered here. */
export async function hubsHere() {
  const { items } = await ask('/api/v1/hubs')
  return items.filter(({ remote }) => !remote)
}

/** JSON whose numbers keep their digits, where this browser can. */
function exact(text) {
  return JSON.parse(text, (_, value, context) => {
    const isRounded = typeof value === 'number' && context?.source !== undefined && String(value) !== context.source
    return isRounded && Number.isInteger(value) && JSON.rawJSON ? JSON.rawJSON(context.source) : value
  })
}

// Addresses

export function query() {
  return new URLSearchParams(location.search)
}

export function address(path, changes = {}) {
  const parameters = query()
  for (const [name, value] of Object.entries(changes)) {
    if (value) parameters.set(name, value)
    else parameters.delete(name)
  }
  const text = parameters.toString()
  return text ? `${path}?${text}` : path
}

export function link(element, to) {
  element.hidden = !to
  if (to) element.href = to
}

export function anchor(text, to) {
  const element = document.createElement('a')
  element.href = to
  element.textContent = visible(text)
  return element
}

export function listItem(text) {
  const element = document.createElement('li')
  put(element, text)
  return element
}

/** A row for each of `rows` in a table's body; a cell is a text, a number or an element. The first one is the row's head. */
export function fillTable(table, rows) {
  table.tBodies[0].replaceChildren(
    ...rows.map((cells) => {
      const row = document.createElement('tr')
      row.append(
        ...cells.map((content, index) => {
          const cell = document.createElement(index ? 'td' : 'th')
          if (!index) cell.scope = 'row'
          if (typeof content === 'number') cell.className = 'number'
          if (content instanceof Node) cell.append(content)
          else put(cell, typeof content === 'number' ? number(content) : content)
          return cell
        }),
      )
      return row
    }),
  )
}

/** Names and values of a list of facts; a third part is where a value leads. */
export function fill(list, pairs) {
  list.replaceChildren(
    ...pairs.map(([name, value, to]) => {
      const pair = document.createElement('div')
      const [term, description] = [document.createElement('dt'), document.createElement('dd')]
      put(term, name)
      description.className = 'whole'
      if (to) description.append(anchor(value, to))
      else description.textContent = visible(value)
      pair.append(term, description)
      return pair
    }),
  )
}

// Views

/** Shows what the address says, the list at `path` or one thing below it, now and as links and the browser's buttons
 * change the address; a page of a list alone has no `showOne`. Each of the two gets a function that says whether its view is
 * still the latest: an answer for an earlier one is not drawn. `go(address, notice)` shows another; a notice is what has
 * just been done. */
export function views(path, { showList, showOne }) {
  let latest = 0

  async function show(notice = null) {
    const view = ++latest
    const isCurrent = () => view === latest
    const isList = location.pathname === path || location.pathname === `${path}/`
    for (const id of ['trouble', 'notice']) byId(id).hidden = true
    try {
      await (isList ? showList(isCurrent) : showOne(isCurrent))
      if (isCurrent()) showPart(isList ? 'list' : 'one')
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem
      if (isCurrent()) showTrouble(problem)
    }
    if (!isCurrent()) return
    if (notice) showNotice(notice)
    const place = notice ? byId('notice') : byId(isList ? 'content' : 'one-title')
    place.focus({ preventScroll: !notice })
  }

  function go(to, notice = null) {
    history.pushState(null, '', to)
    return show(notice)
  }

  document.addEventListener('click', (event) => {
    const to = event.target.closest(`a[href^="${path}"]`)
    if (!to || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return
    event.preventDefault()
    go(to.getAttribute('href'))
  })
  window.addEventListener('popstate', () => show())
  return { go, show }
}

function showPart(name) {
  for (const part of [byId('list'), byId('one')].filter(Boolean)) part.hidden = part.id !== name
}

function showTrouble({ message }) {
  put(byId('trouble'), message)
  byId('trouble').hidden = false
  showPart('')
}

function showNotice({ tone, text }) {
  byId('notice').dataset.tone = tone
  put(byId('notice'), text)
  byId('notice').hidden = false
}

// Lists

/** A form whose fields, by `names`, are parameters of the list's address. */
export function filters(path, names, go) {
  const fields = byId('search').elements
  byId('search').addEventListener('submit', (event) => {
    event.preventDefault()
    go(address(path, { ...Object.fromEntries(names.map((name) => [name, fields[name].value.trim()])), cursor: '' }))
  })
  byId('clear').addEventListener('click', () => go(address(path, { ...Object.fromEntries(names.map((name) => [name, ''])), cursor: '' })))
  return function drawFilters(parameters) {
    for (const name of names) fields[name].value = parameters.get(name) ?? ''
    byId('clear').hidden = !names.some((name) => parameters.get(name))
  }
}

/** So many things of a list, or as many as `most` parts have; where filters let few of a part through, the next parts too. */
export async function partOf(list, asked, isCurrent, { size, most = Infinity }) {
  const items = []
  let next
  let parts = 0
  do {
    asked.set('limit', size - items.length)
    const part = await ask(`${list}?${asked}`)
    items.push(...part.items)
    next = part.next
    if (next) asked.set('cursor', next)
  } while (next && items.length < size && ++parts < most && isCurrent())
  return { items, next }
}

/** Ways to the newest and to the next older part. */
export function drawPaging(path, next) {
  const cursor = query().get('cursor')
  byId('paging').hidden = !next && !cursor
  link(byId('newest'), cursor && address(path, { cursor: '' }))
  link(byId('older'), next && address(path, { cursor: next }))
}
