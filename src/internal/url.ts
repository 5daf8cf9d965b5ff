/**
 * Connection URLs, in the forms that servers, platforms and other clients hand out: text in, the parts it names out, or
 * the rule that it breaks. Hosts, ports, databases and the like are read and not judged: `Config` has their rules.
 *
 * No rule repeats a value: a password can be anywhere in a URL that is mistyped.
 */
import * as Result from "effect/Result"

/** What a URL can name, each part as it is written there. @internal */
export interface UrlParts {
  readonly tls: boolean
  readonly path: string | undefined
  readonly host: string | undefined
  readonly port: number | undefined
  readonly database: number | undefined
  readonly username: string | Uint8Array | undefined
  readonly password: string | Uint8Array | undefined
  readonly clientName: string | undefined
  readonly protocol: "auto" | 2 | 3 | undefined
  readonly family: 0 | 4 | 6 | undefined
  /** Whether the server's certificate is checked. */
  readonly rejectUnauthorized: boolean | undefined
}

// `valkey` is what Valkey's providers write, `tcp` what links between containers and PHP's clients do.
const schemes: Readonly<Record<string, "tcp" | "tls" | "unix">> = {
  redis: "tcp",
  valkey: "tcp",
  tcp: "tcp",
  rediss: "tls",
  valkeys: "tls",
  unix: "unix"
}

/** Parameters of other clients' URLs that mean something here, by the part they name. */
const parameters: Readonly<Record<string, "database" | "protocol" | "family" | "clientName" | "certificate">> = {
  db: "database",
  database: "database",
  protocol: "protocol",
  family: "family",
  client_name: "clientName",
  clientName: "clientName",
  ssl_cert_reqs: "certificate"
}

/** And those that are options here: their units differ between the clients that read them, so none is assumed. */
const options: Readonly<Record<string, string>> = {
  timeout: "commandTimeout or connectTimeout",
  socket_timeout: "commandTimeout",
  read_timeout: "commandTimeout",
  write_timeout: "commandTimeout",
  commandTimeout: "commandTimeout",
  connect_timeout: "connectTimeout",
  socket_connect_timeout: "connectTimeout",
  dial_timeout: "connectTimeout",
  connectTimeout: "connectTimeout",
  pool_size: "poolSize",
  max_connections: "poolSize",
  username: "credentials",
  password: "credentials",
  ssl: "tls",
  tls: "tls",
  skip_verify: "tls.rejectUnauthorized",
  ssl_check_hostname: "tls.rejectUnauthorized",
  ssl_ca_certs: "tls.ca",
  ssl_certfile: "tls.cert",
  ssl_keyfile: "tls.key"
}

const certificateChecks: Readonly<Record<string, boolean>> = {
  none: false,
  cert_none: false,
  optional: true,
  cert_optional: true,
  required: true,
  cert_required: true
}

const protocols: Readonly<Record<string, "auto" | 2 | 3>> = { auto: "auto", 2: 2, 3: 3 }

const families: Readonly<Record<string, 0 | 4 | 6>> = { 0: 0, 4: 4, 6: 6, ipv4: 4, ipv6: 6 }

const own = <A>(table: Readonly<Record<string, A>>, key: string | undefined): A | undefined =>
  key !== undefined && Object.hasOwn(table, key) ? table[key] : undefined

/** Reads a number; `NaN`, which every rule refuses, for anything but digits. */
const number = (text: string): number => /^\d+$/.test(text) ? Number(text) : Number.NaN

/** Percent-decodes; what is not UTF-8 then is the bytes that it names. */
const decoded = (text: string): string | Uint8Array => {
  try {
    return decodeURIComponent(text)
  } catch {
    // A parsed URL has nothing but ASCII.
    const bytes = text.replace(/%(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    return Uint8Array.from(bytes, (byte) => byte.charCodeAt(0))
  }
}

/** Splits a URL, or says which rule it breaks. @internal */
export const parseUrl = (text: string): Result.Result<UrlParts, string> => {
  const kind = own(schemes, /^([a-z]+):\/\//i.exec(text)?.[1].toLowerCase())
  if (kind === undefined) {
    return Result.fail("must start with redis://, rediss://, valkey://, valkeys://, tcp:// or unix://")
  }
  const url = URL.parse(text)
  // A "#", "/" or "?" in a password ends the authority; what follows would be read, and quoted, as something else.
  const isCut = url !== null && (url.hash !== "" || (kind !== "unix" && `${url.pathname}${url.search}`.includes("@")))
  if (url === null || isCut) {
    return Result.fail(
      "must be a valid URL: a port is at most 65535, and a user name and a password are percent-encoded"
    )
  }
  if ([url.pathname, url.username, url.password].some((part) => /%(?![0-9a-f]{2})/i.test(part))) {
    return Result.fail("must be percent-encoded correctly: a % is followed by two hexadecimal digits")
  }
  const path = decoded(url.pathname)
  if (typeof path !== "string") return Result.fail("must have a path that is UTF-8 when it is percent-decoded")
  if (kind === "unix" && (url.host !== "" || path.length < 2)) {
    return Result.fail("must name the socket by its absolute path, as in unix:///run/redis.sock")
  }
  // AUTH needs both; some tools read a lone user name as the password, so neither meaning is assumed.
  if (url.username !== "" && url.password === "") return Result.fail("must have a password where it has a user name")

  const found = new Map<string, string>()
  if (kind !== "unix" && path.length > 1) found.set("database", path.slice(1))
  for (const [name, value] of url.searchParams) {
    const part = own(parameters, name)
    if (part === undefined) {
      const option = own(options, name)
      return Result.fail(
        `must not have the query parameter "${name}": ` +
          (option === undefined ? `only ${Object.keys(parameters).join(", ")} are read` : `give it as ${option}`)
      )
    }
    if (found.has(part)) return Result.fail(`must name the ${part} once`)
    found.set(part, value)
  }
  const rejectUnauthorized = own(certificateChecks, found.get("certificate")?.toLowerCase())
  if (found.has("certificate") && (kind !== "tls" || rejectUnauthorized === undefined)) {
    return Result.fail("must have none, optional or required as ssl_cert_reqs, and only where the scheme means TLS")
  }
  const family = own(families, found.get("family")?.toLowerCase())
  if (found.has("family") && (kind === "unix" || family === undefined)) {
    return Result.fail("must have 0, 4 or 6 as family, and only where there is a host")
  }
  const protocol = own(protocols, found.get("protocol"))
  if (found.has("protocol") && protocol === undefined) return Result.fail("must have auto, 2 or 3 as protocol")
  const database = found.get("database")
  return Result.succeed({
    tls: kind === "tls",
    path: kind === "unix" ? path : undefined,
    host: url.hostname === "" ? undefined : url.hostname,
    port: url.port === "" ? undefined : Number(url.port),
    database: database === undefined ? undefined : number(database),
    username: url.username === "" ? undefined : decoded(url.username),
    password: url.password === "" ? undefined : decoded(url.password),
    clientName: found.get("clientName"),
    protocol,
    family,
    rejectUnauthorized
  })
}
