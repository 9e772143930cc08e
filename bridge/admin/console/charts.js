// Counts over time as lines, a line for each name. A chart is a picture: its figures stand in a table beside it.

import { fillTable } from '/pages.js'
import { byId, number, put } from '/text.js'

const SVG = 'http://www.w3.org/2000/svg'
const COLOURS = 5
const [WIDTH, HEIGHT] = [1000, 200]

/** Draws `series`, `{ name, points: [[time, count], …] }` in order of time, between two times in milliseconds since 1970. A
 * gap longer than `step` breaks a line. */
export function drawChart(id, series, { first, last, step, label }) {
  const most = Math.max(1, ...series.flatMap(({ points }) => points.map(([, count]) => count)))
  const top = nice(most)
  const picture = drawn('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': label })
  for (const part of [0, 0.5, 1]) picture.append(drawn('line', { class: 'rule-line', x1: 0, x2: WIDTH, y1: part * HEIGHT, y2: part * HEIGHT }))
  const x = (time) => ((time - first) / Math.max(1, last - first)) * WIDTH
  const y = (count) => HEIGHT - (count / top) * HEIGHT
  series.forEach(({ points }, index) => {
    for (const run of runs(points, step)) {
      const ends = run.length > 1 ? run : [run[0], [run[0][0] + step / 4, run[0][1]]]
      const at = ends.map(([time, count]) => `${x(time).toFixed(1)},${y(count).toFixed(1)}`).join(' ')
      picture.append(drawn('polyline', { class: `line colour-${index % COLOURS}`, points: at }))
    }
  })
  byId(id).replaceChildren(
    legend(series),
    scale('chart-top', number(top)),
    scale('chart-middle', number(top / 2)),
    scale('chart-bottom', '0'),
    picture,
    scale('chart-first', moments(first, step)),
    scale('chart-last', moments(last, step)),
  )
  const rows = series.flatMap(({ name, points }) => points.map(([time, count]) => [time, name, count]))
  rows.sort(([one], [other]) => other - one)
  fillTable(byId(`${id}-figures`), rows.map(([time, name, count]) => [moments(time, step), name, count]))
}

/** The next number that is easy to halve. */
function nice(most) {
  const power = 10 ** Math.floor(Math.log10(most))
  return [1, 2, 4, 6, 8, 10].map((factor) => factor * power).find((each) => each >= most && each >= 2) ?? 2
}

function runs(points, step) {
  const found = []
  for (const point of points) {
    const run = found.at(-1)
    if (run && point[0] - run.at(-1)[0] <= step * 1.5) run.push(point)
    else found.push([point])
  }
  return found
}

function moments(time, step) {
  const day = { year: 'numeric', month: 'short', day: 'numeric' }
  const hour = { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }
  return new Date(time).toLocaleString([], step < 86_400_000 ? hour : { ...day, timeZone: 'UTC' })
}

function legend(series) {
  const list = document.createElement('ul')
  list.className = 'legend'
  list.append(
    ...series.map(({ name, points }, index) => {
      const item = document.createElement('li')
      item.className = `colour-${index % COLOURS}`
      put(item, `${name} ${number(points.at(-1)?.[1] ?? 0)}`)
      return item
    }),
  )
  return list
}

function scale(className, text) {
  const element = document.createElement('span')
  element.className = className
  element.textContent = text
  return element
}

function drawn(name, attributes) {
  const element = document.createElementNS(SVG, name)
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value)
  return element
}
