// A rule, and what became of it for an event: its first condition that failed, with the values that it saw.

import { fill } from '/pages.js'
import { put, stamp, visible } from '/text.js'

const RESULT_TONES = { fired: 'good', failed: 'bad', error: 'bad' }
const SHOWN_VALUE = 2_000 // characters of a value that a condition saw

export function ruleRow({ rule, owner, place, result, condition, stopped_by: stoppedBy }) {
  const { element, parts } = stamp('rule')
  put(parts.rule, rule)
  put(parts.owner, owner && `owner ${owner}`)
  parts.result.dataset.tone = RESULT_TONES[result] ?? 'quiet'
  put(parts.result, result)
  parts.place.textContent = visible(condition?.place || place)
  const wanted = condition && (condition.error ? `${condition.wanted}: ${condition.error}` : `Wanted: ${condition.wanted}`)
  parts.condition.textContent = visible(wanted ?? (stoppedBy ? `${stoppedBy} has ended the evaluation.` : ''))
  fill(parts.seen, Object.entries(condition?.seen ?? {}).map(([path, value]) => [path, seenText(value)]))
  return element
}

function seenText(seen) {
  if (seen.missing) return 'is missing'
  if (seen.kind !== undefined) return `is a ${seen.kind}`
  const text = JSON.stringify(seen.value)
  return text.length > SHOWN_VALUE ? `= ${text.slice(0, SHOWN_VALUE)}… (${text.length.toLocaleString()} characters)` : `= ${text}`
}
