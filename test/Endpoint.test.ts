import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as NetAddress from "effect/net/NetAddress"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Endpoint from "hitless/Endpoint"

const parsed = (text: string) => Result.getOrThrow(Endpoint.parse(text))

const port = Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 65535 })))

const ipv4 = Arbitrary.map(
  Arbitrary.all(
    [0, 1, 2, 3].map(() => Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 }))))
  ),
  (bytes) => bytes.join(".")
)

/** In the canonical form, which shortens runs of zeros. */
const ipv6 = Arbitrary.map(
  Arbitrary.all(
    // Every second group is zero or one, so that runs of zeros occur.
    [0xffff, 1, 0xffff, 1, 1, 1, 0xffff, 1].map((maximum) =>
      Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum })))
    )
  ),
  (groups) =>
    NetAddress.formatIp(Result.getOrThrow(NetAddress.ipFromString(groups.map((group) => group.toString(16)).join(":"))))
)

const name = Arbitrary.schema(Schema.String.check(Schema.isPattern(/^[a-z0-9-]{1,12}(\.[a-z0-9-]{1,12}){0,2}$/)))

describe("Endpoint.parse", () => {
  const forms: ReadonlyArray<readonly [text: string, host: string, port: number]> = [
    ["10.0.0.5:12000", "10.0.0.5", 12000],
    ["10.0.0.5", "10.0.0.5", 6379],
    ["name.example.com:12000", "name.example.com", 12000],
    ["name.example.com", "name.example.com", 6379],
    ["localhost:1", "localhost", 1],
    ["localhost:65535", "localhost", 65535],
    ["[2001:db8::1]:12000", "2001:db8::1", 12000],
    ["[2001:db8::1]", "2001:db8::1", 6379],
    ["[::]:12000", "::", 12000],
    ["2001:db8::1:12000", "2001:db8::1", 12000],
    ["2001:db8:0:0:0:0:0:1:12000", "2001:db8:0:0:0:0:0:1", 12000],
    ["::1:6379", "::1", 6379],
    ["::ffff:10.0.0.5:12000", "::ffff:10.0.0.5", 12000],
    ["2001:db8::1", "2001:db8::1", 6379],
    ["2001:db8:0:0:0:0:0:1", "2001:db8:0:0:0:0:0:1", 6379],
    ["::1", "::1", 6379]
  ]

  for (const [text, host, port] of forms) {
    it(`reads ${text} as ${host}, port ${port}`, () => {
      assert.deepStrictEqual(parsed(text), { _tag: "Tcp", host, port })
    })
  }

  it("reads the last group of an IPv6 address as part of it where it cannot be a port", () => {
    assert.deepStrictEqual(parsed("2001:db8::1:abcd"), Endpoint.tcp("2001:db8::1:abcd"))
    assert.deepStrictEqual(parsed("2001:db8::1:0"), Endpoint.tcp("2001:db8::1:0"))
  })

  const refused: ReadonlyArray<readonly [text: string, why: string]> = [
    ["", "the host is empty"],
    [":6379", "the host is empty"],
    ["host:", "the port is not a number from 1 to 65535"],
    ["host:0", "the port is not a number from 1 to 65535"],
    ["host:65536", "the port is not a number from 1 to 65535"],
    ["host:-1", "the port is not a number from 1 to 65535"],
    ["host:1e3", "the port is not a number from 1 to 65535"],
    ["host:six", "the port is not a number from 1 to 65535"],
    ["host:000080", "the port is not a number from 1 to 65535"],
    ["[2001:db8::1]:", "the port is not a number from 1 to 65535"],
    ["[2001:db8::1]:0", "the port is not a number from 1 to 65535"],
    ["2001:db8::1:99999", "the port is not a number from 1 to 65535"],
    ["[]:6379", "what stands in brackets is not an IPv6 address"],
    ["[10.0.0.5]:6379", "what stands in brackets is not an IPv6 address"],
    ["[name]:6379", "what stands in brackets is not an IPv6 address"],
    ["host:1:2", "it is neither host:port nor an IPv6 address"],
    ["[2001:db8::1]6379", "it is neither host:port nor an IPv6 address"],
    ["2001:db8:::1:6379", "it is neither host:port nor an IPv6 address"]
  ]

  for (const [text, why] of refused) {
    it(`refuses ${JSON.stringify(text)}: ${why}`, () => {
      assert.deepStrictEqual(Endpoint.parse(text), Result.fail(why))
    })
  }

  it.prop("reads back what format prints, for IPv4", [ipv4, port], ([host, port]) => {
    assert.deepStrictEqual(parsed(Endpoint.format(Endpoint.tcp(host, port))), Endpoint.tcp(host, port))
  })

  it.prop("reads back what format prints, for IPv6, and the same without brackets", [ipv6, port], ([host, port]) => {
    const endpoint = Endpoint.tcp(host, port)
    assert.strictEqual(Endpoint.format(endpoint), `[${host}]:${port}`)
    assert.deepStrictEqual(parsed(`[${host}]:${port}`), endpoint)
    assert.deepStrictEqual(parsed(`${host}:${port}`), endpoint)
  })

  it.prop("reads back what format prints, for names", [name, port], ([host, port]) => {
    assert.deepStrictEqual(parsed(Endpoint.format(Endpoint.tcp(host, port))), Endpoint.tcp(host, port))
  })

  it.prop("gives an endpoint that can be dialled, or says why not, whatever the text", [Schema.String], ([text]) => {
    const result = Endpoint.parse(text)
    if (Result.isFailure(result)) return assert.isNotEmpty(result.failure)
    if (result.success._tag !== "Tcp") return assert.fail("servers do not name Unix sockets")
    assert.isNotEmpty(result.success.host)
    assert.isTrue(result.success.port >= 1 && result.success.port <= 65535)
  })
})

describe("Endpoint.format", () => {
  it("prints host:port, [v6]:port and unix:path", () => {
    assert.strictEqual(Endpoint.format(Endpoint.tcp("localhost")), "localhost:6379")
    assert.strictEqual(Endpoint.format(Endpoint.tcp("::1", 12000)), "[::1]:12000")
    assert.strictEqual(Endpoint.format(Endpoint.unix("/tmp/redis.sock")), "unix:/tmp/redis.sock")
  })
})

describe("Endpoint.detectType", () => {
  const table: ReadonlyArray<readonly [addresses: ReadonlyArray<string>, internal: boolean]> = [
    [["127.0.0.1"], true],
    [["127.255.255.255"], true],
    [["10.0.0.0"], true],
    [["10.255.255.255"], true],
    [["172.16.0.0"], true],
    [["172.31.255.255"], true],
    [["192.168.0.1"], true],
    [["169.254.10.10"], true],
    [["100.64.0.0"], true],
    [["100.99.1.2"], true],
    [["100.127.255.255"], true],
    [["::ffff:10.0.0.1"], true],
    [["::ffff:100.64.0.1"], true],
    [["100.63.255.255"], false],
    [["100.128.0.0"], false],
    [["::ffff:8.8.8.8"], false],
    [["::1"], true],
    [["fe80::1"], true],
    [["fc00::1"], true],
    [["fdff::1"], true],
    [["10.0.0.1", "fd00::1"], true],
    [["9.255.255.255"], false],
    [["11.0.0.0"], false],
    [["172.15.255.255"], false],
    [["172.32.0.0"], false],
    [["192.169.0.0"], false],
    [["169.253.0.1"], false],
    [["8.8.8.8"], false],
    [["2001:db8::1"], false],
    [["fec0::1"], false],
    [["10.0.0.1", "8.8.8.8"], false],
    [["not an address"], false],
    [[], false]
  ]

  for (const [addresses, internal] of table) {
    const where = internal ? "internal" : "external"
    it(`asks for ${where} addresses where the server is at [${addresses.join(", ")}], by name under TLS`, () => {
      assert.strictEqual(Endpoint.detectType(addresses, { tls: false }), `${where}-ip`)
      assert.strictEqual(Endpoint.detectType(addresses, { tls: true }), `${where}-fqdn`)
    })
  }
})

describe("Endpoint.AddressOverride", () => {
  const [a, b, c, d] = ["a", "b", "c", "d"].map((host) => Endpoint.tcp(host)) as [
    Endpoint.Endpoint,
    Endpoint.Endpoint,
    Endpoint.Endpoint,
    Endpoint.Endpoint
  ]
  const move = (retiring: Endpoint.Endpoint, target: Endpoint.Endpoint, until: number, seq = "1"): Endpoint.Move => ({
    retiring,
    target,
    until,
    seq
  })
  const override = (...moves: ReadonlyArray<Endpoint.Move>) => {
    const override = new Endpoint.AddressOverride()
    for (const move of moves) override.set(move)
    return override
  }

  it("leads away from the retiring endpoint, and from no other", () => {
    const self = override(move(a, b, 100))
    assert.strictEqual(self.resolve(a, 0), b)
    assert.strictEqual(self.resolve(b, 0), b)
    assert.strictEqual(self.resolve(c, 0), c)
  })

  it("knows an endpoint by its address, not by the object", () => {
    assert.strictEqual(override(move(a, b, 100)).resolve(Endpoint.tcp("a"), 0), b)
    assert.deepStrictEqual(override(move(a, b, 100)).resolve(Endpoint.tcp("a", 1), 0), Endpoint.tcp("a", 1))
  })

  it("ends when its time is over, and does not come back", () => {
    const self = override(move(a, b, 100))
    assert.strictEqual(self.resolve(a, 99), b)
    assert.strictEqual(self.resolve(a, 100), a)
    assert.strictEqual(self.resolve(a, 99), a)
  })

  it("follows chains as far as they are in force", () => {
    const self = override(move(a, b, 100), move(b, c, 50), move(c, d, 75))
    assert.strictEqual(self.resolve(a, 0), d)
    assert.strictEqual(self.resolve(a, 60), b)
    assert.strictEqual(self.resolve(c, 60), d)
    assert.strictEqual(self.resolve(a, 100), a)
  })

  it("goes by the later of two moves of one endpoint, also where that one ends sooner", () => {
    const self = override(move(a, b, 100, "1"), move(a, c, 50, "2"))
    assert.strictEqual(self.resolve(a, 0), c)
    assert.strictEqual(self.moveOf(a, 0)?.seq, "2")
    assert.strictEqual(self.resolve(a, 50), a)
  })

  it("takes an endpoint that is moved to as not being left any more", () => {
    const self = override(move(a, b, 100), move(b, a, 120))
    assert.isUndefined(self.moveOf(a, 0))
    assert.strictEqual(self.resolve(a, 0), a)
    assert.strictEqual(self.resolve(b, 0), a)
  })

  it("breaks a circle where it began", () => {
    const self = override(move(a, b, 100), move(b, c, 100), move(c, a, 100))
    assert.deepStrictEqual([a, b, c].map((endpoint) => self.resolve(endpoint, 0)), [a, a, a])
  })

  it("records no move that leads to where it starts", () => {
    const self = override(move(a, b, 100), move(a, Endpoint.tcp("a"), 200))
    assert.strictEqual(self.resolve(a, 0), b)
  })

  it("gives the move of exactly one endpoint", () => {
    const self = override(move(a, b, 100, "7"), move(b, c, 100, "8"))
    assert.deepStrictEqual(self.moveOf(a, 0), move(a, b, 100, "7"))
    assert.deepStrictEqual(self.moveOf(b, 0), move(b, c, 100, "8"))
    assert.isUndefined(self.moveOf(c, 0))
    assert.isUndefined(self.moveOf(a, 100))
  })

  const letter = Arbitrary.schema(Schema.Literals(["a", "b", "c", "d", "e"]))
  const steps = Arbitrary.array(
    Arbitrary.all([letter, letter, Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 9 })))])
  )

  it.prop("comes to an end at an endpoint that is not being left, whatever was announced", [steps], ([steps]) => {
    const self = override(...steps.map(([from, to, until]) => move(Endpoint.tcp(from), Endpoint.tcp(to), until)))
    for (let now = 0; now < 10; now++) {
      for (const host of ["a", "b", "c", "d", "e"]) {
        assert.isUndefined(self.moveOf(self.resolve(Endpoint.tcp(host), now), now))
      }
    }
  })
})
