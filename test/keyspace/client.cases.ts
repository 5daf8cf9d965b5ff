/** `CLIENT`, `CONFIG`, `ROLE`. */
import type { Case } from "../support/keyspaceSuite.ts"

export const cases: ReadonlyArray<Case> = [
  {
    name: "names",
    commands: [
      ["CLIENT", "GETNAME"],
      ["CLIENT", "SETNAME", "app"],
      ["client", "getname"],
      ["CLIENT", "SETNAME", "two words"],
      ["CLIENT", "SETNAME", ""],
      ["CLIENT", "GETNAME"],
      ["CLIENT", "SETNAME"],
      ["CLIENT", "GETNAME", "x"]
    ]
  },
  {
    name: "identity",
    commands: [
      { command: ["CLIENT", "ID"], like: /^:[0-9]+$/ },
      { command: ["CLIENT", "INFO"], like: /id=[0-9]+ .*name= .*flags=N .*db=0 .*cmd=client\|info .*resp=[23]/ },
      { command: ["CLIENT", "LIST"], like: /id=[0-9]+ .*flags=N .*cmd=client\|list / },
      { command: ["CLIENT", "LIST", "TYPE", "normal"], like: /cmd=client\|list / },
      { command: ["CLIENT", "LIST", "TYPE", "pubsub"], like: /^"?(=txt:)?"?$/ },
      { command: ["CLIENT", "LIST", "ID", "0"], like: /^"?(=txt:)?"?$/ },
      ["CLIENT", "LIST", "TYPE", "odd"],
      ["CLIENT", "LIST", "ID"],
      ["CLIENT", "LIST", "ID", "x"],
      ["CLIENT", "LIST", "ODD"],
      ["CLIENT", "ID", "x"]
    ]
  },
  {
    name: "the library",
    commands: [
      ["CLIENT", "SETINFO", "lib-name", "hitless"],
      ["CLIENT", "SETINFO", "LIB-VER", "1.0"],
      ["CLIENT", "SETINFO", "lib-ver", "two words"],
      ["CLIENT", "SETINFO", "odd", "x"],
      ["CLIENT", "SETINFO"],
      ["CLIENT", "SETINFO", "lib-name"]
    ]
  },
  {
    name: "switches",
    commands: [
      ["CLIENT", "NO-EVICT", "ON"],
      ["CLIENT", "NO-EVICT", "off"],
      ["CLIENT", "NO-EVICT", "maybe"],
      ["CLIENT", "NO-EVICT"],
      ["CLIENT", "GETREDIR"],
      ["CLIENT", "TRACKING", "OFF"],
      ["CLIENT", "TRACKING", "maybe"],
      ["CLIENT", "TRACKING"],
      ["CLIENT", "TRACKING", "on"],
      ["CLIENT", "TRACKING", "ON", "ODD"],
      ["CLIENT", "TRACKING", "OFF"],
      ["CLIENT"],
      ["CLIENT", "NOPE"],
      ["CLIENT", "NOPE", "x", "y"]
    ]
  },
  {
    name: "KILL by what is not there",
    commands: [
      ["CLIENT", "KILL"],
      ["CLIENT", "KILL", "1.2.3.4:5"],
      ["CLIENT", "KILL", "ID", "999999"],
      ["CLIENT", "KILL", "ID", "x"],
      ["CLIENT", "KILL", "ID", "0"],
      ["CLIENT", "KILL", "ADDR", "1.2.3.4:5"],
      ["CLIENT", "KILL", "TYPE", "odd"],
      ["CLIENT", "KILL", "TYPE", "replica"],
      ["CLIENT", "KILL", "USER", "nobody"],
      ["CLIENT", "KILL", "ODD", "x"],
      ["CLIENT", "KILL", "ID", "1", "SKIPME"],
      ["CLIENT", "KILL", "ID", "1", "SKIPME", "maybe"]
    ]
  },
  {
    name: "KILL of oneself is answered first",
    commands: [
      ["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no"]
    ]
  },
  {
    name: "UNBLOCK of nobody",
    commands: [
      ["CLIENT", "UNBLOCK", "999999"],
      ["CLIENT", "UNBLOCK", "999999", "ERROR"],
      ["CLIENT", "UNBLOCK", "x"],
      ["CLIENT", "UNBLOCK", "1", "ODD"],
      ["CLIENT", "UNBLOCK"]
    ]
  },
  {
    name: "CONFIG tells what was set",
    commands: [
      ["CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", "ALLKEYS-LRU"],
      ["CONFIG", "GET", "maxmemory"],
      ["CONFIG", "GET", "MAXMEMORY-policy"],
      { command: ["CONFIG", "GET", "maxmemory", "maxmemory-policy", "timeout", "databases"], unordered: true },
      ["CONFIG", "GET", "appendo*"],
      ["CONFIG", "GET", "none"],
      ["CONFIG", "SET", "maxmemory", "1k"],
      ["CONFIG", "GET", "maxmemory"],
      ["CONFIG", "SET", "maxmemory", "0", "maxmemory-policy", "noeviction"],
      ...["", "K", "KEA", "Elg$", "xKAm", "tdE", "nK", "Ag$lshzxeKEtmdn"].flatMap((events) => [
        ["CONFIG", "SET", "notify-keyspace-events", events],
        ["CONFIG", "GET", "notify-keyspace-events"]
      ]),
      ["CONFIG", "SET", "notify-keyspace-events", ""],
      ["CONFIG", "SET", "timeout", "10"],
      ["CONFIG", "GET", "timeout"],
      ["CONFIG", "SET", "timeout", "0"]
    ]
  },
  {
    name: "CONFIG refuses what makes no sense, and then sets nothing",
    commands: [
      ["CONFIG", "SET", "nope", "x"],
      ["CONFIG", "SET", "timeout"],
      ["CONFIG", "SET", "timeout", "5", "maxmemory"],
      ["CONFIG", "SET", "timeout", "5", "maxmemory", "lots"],
      ["CONFIG", "SET", "timeout", "5", "timeout", "6"],
      ["CONFIG", "SET", "timeout", "soon"],
      ["CONFIG", "SET", "timeout", "-1"],
      ["CONFIG", "SET", "databases", "3"],
      ["CONFIG", "SET", "maxmemory-policy", "odd"],
      ["CONFIG", "SET", "appendonly", "maybe"],
      ["CONFIG", "SET", "notify-keyspace-events", "q"],
      ["CONFIG", "GET", "timeout"],
      ["CONFIG", "GET"],
      ["CONFIG", "RESETSTAT"],
      ["CONFIG", "REWRITE"],
      ["CONFIG", "NOPE"],
      ["CONFIG"]
    ]
  },
  {
    name: "ROLE",
    commands: [["ROLE"], ["ROLE", "x"]]
  }
]
