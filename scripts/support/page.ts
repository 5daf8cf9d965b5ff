/**
 * What the scripts that write pages of `docs` have in common: comments as paragraphs, and a page that is written, or with
 * `--check` compared with what is there.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"

const root = resolve(import.meta.dirname, "../..")

const width = 120

/** The text of a comment without its frame: each paragraph and each item of a list on one line; examples keep theirs. */
export const paragraphs = (comment: string): ReadonlyArray<string> =>
  comment
    .split("\n")
    .map((line) => line.trim().replace(/^\/?\*+\/? ?/, "").replace(/ ?\*\/$/, ""))
    .join("\n")
    .trim()
    .split(/\n\s*\n/)
    .map((paragraph) =>
      paragraph.startsWith("```") ? paragraph : paragraph.replace(/\s*\n\s*(?!(?:-|\d+\.) )(?=\S)/g, " ")
    )

/** Breaks lines of prose at spaces, so that none is longer than those of the other pages. */
export const wrapped = (text: string): string => {
  let isCode = false
  return text.split("\n").flatMap((line) => {
    if (line.startsWith("```")) isCode = !isCode
    if (isCode || line.length <= width || /^[#|]/.test(line)) return [line]
    const indent = " ".repeat(/^ *(?:(?:-|\d+\.) )?/.exec(line)![0].length)
    const lines: Array<string> = []
    let rest = line
    while (rest.length > width) {
      const at = rest.lastIndexOf(" ", width)
      if (at <= indent.length) break
      lines.push(rest.slice(0, at))
      rest = indent + rest.slice(at + 1)
    }
    return [...lines, rest]
  }).join("\n")
}

/** Writes a page, or with `--check` says that it is not what would be written. */
export const keep = (path: string, text: string): void => {
  const file = join(root, path)
  const written = wrapped(text)
  if (!process.argv.includes("--check")) return writeFileSync(file, written)
  if (existsSync(file) && readFileSync(file, "utf8") === written) return
  process.stderr.write(`${path} is not what node ${process.argv[1]!.replace(`${root}/`, "")} writes; run that\n`)
  process.exitCode = 1
}
