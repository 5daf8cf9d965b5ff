/**
 * What is wrong with a value, in words of its schema alone: keys of records, messages of checks and reported inputs can
 * have a part of the value in them, and are left out.
 */
import type * as SchemaAST from "effect/SchemaAST"
import * as SchemaIssue from "effect/SchemaIssue"

const format = SchemaIssue.makeFormatterDefault()

const expected = (annotations: { readonly expected?: unknown } | undefined): string =>
  typeof annotations?.expected === "string" ? `Expected ${annotations.expected}` : "Not accepted"

/** A step of a path: an index, or a field that the schema names. */
const stepOf = (key: PropertyKey, ast: SchemaAST.AST | undefined): string =>
  typeof key === "number"
    ? `[${key}]`
    : ast?._tag === "Objects" && ast.propertySignatures.some(({ name }) => name === key)
    ? `.${String(key)}`
    : "[…]"

/** The first of them, and where it is; `within` is the schema of what contains it. */
const describe = (issue: SchemaIssue.Issue, path: string, within: SchemaAST.AST | undefined): string => {
  const said = (what: string) => path === "" ? what : `${what} at ${path}`
  switch (issue._tag) {
    case "Pointer":
      return describe(issue.issue, path + issue.path.map((key) => stepOf(key, within)).join(""), undefined)
    case "Composite":
      return describe(issue.issues[0], path, issue.ast)
    case "Encoding":
      return describe(issue.issue, path, issue.ast)
    case "AnyOf":
      return issue.issues.length > 0
        ? describe(issue.issues[0], path, undefined)
        : said(format(new SchemaIssue.AnyOf(issue.ast, [])))
    case "Filter":
      return said(expected(issue.filter.annotations))
    case "InvalidType":
      return said(format(new SchemaIssue.InvalidType(issue.ast)))
    case "InvalidValue":
      return said(expected(issue.annotations))
    case "MissingKey":
      return said("Missing value")
    case "UnexpectedKey":
      return said("Unexpected key")
    default:
      return said("Not accepted")
  }
}

/** @internal */
export const describeIssue = (issue: SchemaIssue.Issue): string => describe(issue, "", undefined)
