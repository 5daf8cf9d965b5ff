/**
 * Writes `docs/api`, the reference: a page for each module that users can import, made of its header, of the comments of what
 * it exports and of the declarations that the compiler emits. With `--check` it writes nothing, and fails where a page is not
 * what it would write.
 *
 * Declarations are read by lines: what is exported begins at the left edge, as the compiler prints it.
 */
import { globSync, readFileSync, rmSync } from "node:fs"
import { basename, join, posix, resolve } from "node:path"
import { declarationsOf, emitDeclarations } from "./support/declarations.ts"
import { keep, paragraphs } from "./support/page.ts"

const root = resolve(import.meta.dirname, "..")
const folder = "docs/api"

interface Export {
  readonly name: string
  readonly category: string
  readonly comment: string
  /** The declarations of that name: overloads, a type and its schema. */
  readonly code: string
}

// ----- reading -----

/** The text of a comment without its tags, and the category that it names. */
const read = (comment: string): { readonly text: string; readonly category: string } => {
  const all = paragraphs(comment)
  const tags = all.findLast((paragraph) => paragraph.startsWith("@")) ?? ""
  return {
    text: all.filter((paragraph) => !paragraph.startsWith("@")).join("\n\n"),
    category: /@category (\S.*?)(?: @|$)/.exec(tags)?.[1] ?? ""
  }
}

/** What stands at the left edge of emitted declarations: a comment, and what follows it up to the next. */
const statements = (text: string): ReadonlyArray<{ readonly comment: string; readonly code: string }> =>
  Array.from(
    text.matchAll(
      /^(?:(\/\*\*[\s\S]*?\*\/)\n)?((?:export|declare|interface|type|import)\b[^\n]*\n(?:[ }][^\n]*\n)*)/gm
    ),
    ([, comment = "", code]) => ({ comment, code: code!.trimEnd() })
  )

const nameOf = (code: string): string | undefined =>
  /^(?:export )?(?:declare )?(?:abstract )?(?:const|function|class|interface|type) (\w+)/.exec(code)?.[1]

/** What a module exports, in the order in which it stands there; of what it exports again, that of the other module. */
const exportsOf = (module: string): ReadonlyArray<Export> => {
  const found = new Map<string, Export>()
  const bases = new Map<string, string>()
  // What exported interfaces have in common and nobody can import.
  const common = new Map<string, string>()
  for (const { code, comment } of statements(declarationsOf(module))) {
    const from = /^export (?:type )?(?:\*|\{([\s\S]*)\}) from "(\..*)\.ts";$/.exec(code)
    if (from !== null) {
      const names = from[1]?.split(",").map((name) => name.replace("type ", "").trim())
      for (const one of exportsOf(posix.join(posix.dirname(module), from[2]!))) {
        if (names === undefined || names.includes(one.name)) found.set(one.name, one)
      }
      continue
    }
    const base = /^declare const (\w+_base): ([\s\S]*);$/.exec(code)
    if (base !== null) bases.set(base[1]!, base[2]!)
    const name = nameOf(code)
    if (name === undefined) continue
    if (!code.startsWith("export ")) {
      if (code.startsWith("interface ")) common.set(name, code)
      continue
    }
    const own = code
      .replace(/^export (?:declare )?/, "")
      .replace(/\b\w+_base\b/, (base) => bases.get(base) ?? base)
    const inherited = common.get(/^interface \w+ extends (\w+) /.exec(own)?.[1] ?? "")
    const shown = inherited === undefined ? own : `${inherited}\n\n${own}`
    const before = found.get(name)
    const { category, text } = read(comment)
    found.set(name, {
      name,
      category: before?.category ?? category,
      comment: [before?.comment, text].filter((part) => part !== undefined && part !== "").join("\n\n"),
      code: before === undefined ? shown : `${before.code}\n\n${shown}`
    })
  }
  return [...found.values()]
}

const headerOf = (module: string): string =>
  read(/^\/\*\*[\s\S]*?\*\//.exec(readFileSync(join(root, `src/${module}.ts`), "utf8"))?.[0] ?? "").text

// ----- writing -----

const entry = ({ code, comment, name }: Export): string => `### ${name}\n\n${comment}\n\n\`\`\`ts\n${code}\n\`\`\`\n`

const pageOf = (module: string): string => {
  const all = exportsOf(module)
  const categories = [...new Set(all.map(({ category }) => category))]
  return [
    `# hitless/${module}\n`,
    `${headerOf(module)}\n`,
    ...categories.flatMap((category) => [
      `## ${category.charAt(0).toUpperCase()}${category.slice(1)}\n`,
      ...all.filter((one) => one.category === category).map(entry)
    ])
  ].join("\n")
}

/** Where namespaces of a barrel are written about. */
const pagePath = (module: string): string => `${folder}/${module.replaceAll("/", "-")}.md`

const modules = emitDeclarations().filter((module) => basename(module) !== "index")

const summary = (module: string): string => /^[\s\S]*?\.(?= |\n|$)/.exec(headerOf(module))![0]

const index = `# API

What each module exports, from the comments in its source. \`hitless\`, \`hitless/node\` and \`hitless/testing\` export these
modules as namespaces; each can also be imported by its path. This folder is what \`node scripts/api-docs.ts\` makes of
\`src\`.

| Module | What it is |
| --- | --- |
${modules.map((module) => `| [\`hitless/${module}\`](${basename(pagePath(module))}) | ${summary(module)} |`).join("\n")}
`

const pages = new Map([
  [`${folder}/README.md`, index],
  ...modules.map((module) => [pagePath(module), pageOf(module)] as const)
])
for (const path of globSync(`${folder}/*.md`, { cwd: root })) {
  if (pages.has(path)) continue
  if (!process.argv.includes("--check")) rmSync(join(root, path))
  else {
    process.stderr.write(`${path} is about no module\n`)
    process.exitCode = 1
  }
}
for (const [path, text] of pages) keep(path, text)
