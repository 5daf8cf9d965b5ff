/**
 * Commands of places: sorted sets whose scores are positions on earth.
 *
 * @since 0.1.0
 */
import type { Arg } from "../Resp.ts"
import {
  type Command,
  double as scalar,
  firstTwoKeys,
  flag,
  type KeysOf,
  many,
  type OneOrMore,
  optional,
  read,
  write
} from "./command.ts"
import { blobs, double, doubleOrNull, integer, listOf, tuple } from "./decode.ts"

/**
 * What distances are told in.
 *
 * @category models
 * @since 0.1.0
 */
export type GeoUnit = "m" | "km" | "mi" | "ft"

/**
 * A position in degrees.
 *
 * @category models
 * @since 0.1.0
 */
export interface Coordinates {
  readonly longitude: number
  readonly latitude: number
}

/**
 * A place and where it is.
 *
 * @category models
 * @since 0.1.0
 */
export interface Place extends Coordinates {
  readonly member: Arg
}

/**
 * Where a search begins: a member, or a position.
 *
 * @category models
 * @since 0.1.0
 */
export type GeoFrom = Arg | Coordinates

/**
 * How far it goes: all around, or in a box of which the beginning is the middle.
 *
 * @category models
 * @since 0.1.0
 */
export type GeoBy =
  | { readonly radius: number; readonly unit: GeoUnit }
  | { readonly width: number; readonly height: number; readonly unit: GeoUnit }

/**
 * In which order, and how many: with `ANY` the first that are found, and not the nearest.
 *
 * @category models
 * @since 0.1.0
 */
export interface GeoOptions {
  readonly SORT?: "ASC" | "DESC" | undefined
  readonly COUNT?: number | { readonly value: number; readonly ANY?: boolean | undefined } | undefined
}

/**
 * What is told about each place.
 *
 * @category models
 * @since 0.1.0
 */
export type GeoWith = "WITHDIST" | "WITHHASH" | "WITHCOORD"

/**
 * A place that was found, with what was asked for.
 *
 * @category models
 * @since 0.1.0
 */
export interface FoundPlace {
  readonly member: string
  readonly distance?: number
  readonly hash?: number
  readonly coordinates?: Coordinates
}

const coordinates = (reply: unknown): Coordinates => {
  const [longitude, latitude] = tuple(reply, 2)
  return { longitude: double(longitude), latitude: double(latitude) }
}

const isPosition = (from: GeoFrom): from is Coordinates => typeof from === "object" && "longitude" in from

const optionWords = ({ COUNT, SORT }: GeoOptions): ReadonlyArray<Arg> => [
  ...optional(SORT),
  ...(COUNT === undefined
    ? []
    : typeof COUNT === "number"
    ? ["COUNT", COUNT]
    : ["COUNT", COUNT.value, ...flag("ANY", COUNT.ANY)])
]

const searchWords = (from: GeoFrom, by: GeoBy, options: GeoOptions): ReadonlyArray<Arg> => [
  ...(isPosition(from) ? ["FROMLONLAT", scalar(from.longitude), scalar(from.latitude)] : ["FROMMEMBER", from]),
  ...("radius" in by ? ["BYRADIUS", by.radius, by.unit] : ["BYBOX", by.width, by.height, by.unit]),
  ...optionWords(options)
]

/** The server tells them in this order, whatever it was asked in. */
const found = (asked: ReadonlyArray<GeoWith>) => (reply: unknown): Array<FoundPlace> => {
  const parts = (["WITHDIST", "WITHHASH", "WITHCOORD"] as const).filter((part) => asked.includes(part))
  const at = (part: GeoWith): number => parts.indexOf(part) + 1
  return listOf(reply, (one) => {
    const place = tuple(one, parts.length + 1)
    return {
      member: place[0] as string,
      ...(asked.includes("WITHDIST") ? { distance: double(place[at("WITHDIST")]) } : {}),
      ...(asked.includes("WITHHASH") ? { hash: integer(place[at("WITHHASH")]) } : {}),
      ...(asked.includes("WITHCOORD") ? { coordinates: coordinates(place[at("WITHCOORD")]) } : {})
    }
  })
}

/**
 * Adds places, or moves them, and gives how many are new.
 *
 * @category geo
 * @since 0.1.0
 */
export const geoAdd = (
  key: Arg,
  places: OneOrMore<Place>,
  options: { readonly condition?: "NX" | "XX" | undefined; readonly CH?: boolean | undefined } = {}
): Command<number> =>
  write(
    [
      "GEOADD",
      key,
      ...optional(options.condition),
      ...flag("CH", options.CH),
      ...(Array.isArray(places) ? places as ReadonlyArray<Place> : [places as Place])
        .flatMap(({ latitude, longitude, member }) => [longitude, latitude, member])
    ],
    integer
  )

/**
 * How far two places are from each other, in metres unless said otherwise; `null` where one is missing.
 *
 * @category geo
 * @since 0.1.0
 */
export const geoDist = (key: Arg, member1: Arg, member2: Arg, unit?: GeoUnit): Command<number | null> =>
  read(["GEODIST", key, member1, member2, ...optional(unit)], doubleOrNull)

/**
 * The positions of places as geohashes; `null` for one that is missing.
 *
 * @category geo
 * @since 0.1.0
 */
export const geoHash = (key: Arg, members: OneOrMore<Arg>): Command<Array<string | null>> =>
  read(["GEOHASH", key, ...many(members)], blobs as (reply: unknown) => Array<string | null>)

/**
 * The positions of places, about as they were given; `null` for one that is missing.
 *
 * @category geo
 * @since 0.1.0
 */
export const geoPos = (key: Arg, members: OneOrMore<Arg>): Command<Array<Coordinates | null>> =>
  read(
    ["GEOPOS", key, ...many(members)],
    (reply) => listOf(reply, (one) => one === null ? null : coordinates(one))
  )

/**
 * The places near a position or a member. O(n + log m) in what is near, and in all.
 *
 * @category geo
 * @since 0.1.0
 */
export const geoSearch = (key: Arg, from: GeoFrom, by: GeoBy, options: GeoOptions = {}): Command<Array<string>> =>
  read(["GEOSEARCH", key, ...searchWords(from, by, options)], blobs)

/**
 * The same, with distances, hashes or positions.
 *
 * @category geo
 * @since 0.1.0
 */
export const geoSearchWith = (
  key: Arg,
  from: GeoFrom,
  by: GeoBy,
  replyWith: ReadonlyArray<GeoWith>,
  options: GeoOptions = {}
): Command<Array<FoundPlace>> =>
  read(["GEOSEARCH", key, ...searchWords(from, by, options), ...replyWith], found(replyWith))

/**
 * Puts the places near a position or a member into another set, with `STOREDIST` by their distances, and gives how
 * many they are.
 *
 * @category geo
 * @since 0.1.0
 */
export const geoSearchStore = (
  destination: Arg,
  source: Arg,
  from: GeoFrom,
  by: GeoBy,
  options: GeoOptions & { readonly STOREDIST?: boolean | undefined } = {}
): Command<number> =>
  write(
    ["GEOSEARCHSTORE", destination, source, ...searchWords(from, by, options), ...flag("STOREDIST", options.STOREDIST)],
    integer,
    firstTwoKeys
  )

// ----- superseded by geoSearch -----

const radiusWords = (from: GeoFrom, radius: number, unit: GeoUnit, options: GeoOptions): ReadonlyArray<Arg> => [
  ...(isPosition(from) ? [scalar(from.longitude), scalar(from.latitude)] : [from]),
  radius,
  unit,
  ...optionWords(options)
]

const keysOfStore: KeysOf = (words) => [words[1], words[words.length - 1]]

const storeWords = (destination: Arg, byDistance: boolean | undefined): ReadonlyArray<Arg> => [
  byDistance === true ? "STOREDIST" : "STORE",
  destination
]

/**
 * `geoSearch` around a position; counts as writing, so not for replicas.
 *
 * @category geo
 * @since 0.1.0
 */
export const geoRadius = (
  key: Arg,
  from: Coordinates,
  radius: number,
  unit: GeoUnit,
  options: GeoOptions = {}
): Command<Array<string>> => write(["GEORADIUS", key, ...radiusWords(from, radius, unit, options)], blobs)

/**
 * `geoSearchWith` around a position; counts as writing, so not for replicas.
 *
 * @category geo
 * @since 0.1.0
 */
export const geoRadiusWith = (
  key: Arg,
  from: Coordinates,
  radius: number,
  unit: GeoUnit,
  replyWith: ReadonlyArray<GeoWith>,
  options: GeoOptions = {}
): Command<Array<FoundPlace>> =>
  write(["GEORADIUS", key, ...radiusWords(from, radius, unit, options), ...replyWith], found(replyWith))

/**
 * `geoSearch` around a position.
 *
 * @category geo
 * @since 0.1.0
 */
export const geoRadiusRo = (
  key: Arg,
  from: Coordinates,
  radius: number,
  unit: GeoUnit,
  options: GeoOptions = {}
): Command<Array<string>> => read(["GEORADIUS_RO", key, ...radiusWords(from, radius, unit, options)], blobs)

/**
 * `geoSearchWith` around a position.
 *
 * @category geo
 * @since 0.1.0
 */
export const geoRadiusRoWith = (
  key: Arg,
  from: Coordinates,
  radius: number,
  unit: GeoUnit,
  replyWith: ReadonlyArray<GeoWith>,
  options: GeoOptions = {}
): Command<Array<FoundPlace>> =>
  read(["GEORADIUS_RO", key, ...radiusWords(from, radius, unit, options), ...replyWith], found(replyWith))

/**
 * `geoSearchStore` around a position.
 *
 * @category geo
 * @since 0.1.0
 */
export const geoRadiusStore = (
  key: Arg,
  from: Coordinates,
  radius: number,
  unit: GeoUnit,
  destination: Arg,
  options: GeoOptions & { readonly STOREDIST?: boolean | undefined } = {}
): Command<number> =>
  write(
    ["GEORADIUS", key, ...radiusWords(from, radius, unit, options), ...storeWords(destination, options.STOREDIST)],
    integer,
    keysOfStore
  )

/**
 * `geoSearch` around a member; counts as writing, so not for replicas.
 *
 * @category geo
 * @since 0.1.0
 */
export const geoRadiusByMember = (
  key: Arg,
  from: Arg,
  radius: number,
  unit: GeoUnit,
  options: GeoOptions = {}
): Command<Array<string>> => write(["GEORADIUSBYMEMBER", key, ...radiusWords(from, radius, unit, options)], blobs)

/**
 * `geoSearchWith` around a member; counts as writing, so not for replicas.
 *
 * @category geo
 * @since 0.1.0
 */
export const geoRadiusByMemberWith = (
  key: Arg,
  from: Arg,
  radius: number,
  unit: GeoUnit,
  replyWith: ReadonlyArray<GeoWith>,
  options: GeoOptions = {}
): Command<Array<FoundPlace>> =>
  write(["GEORADIUSBYMEMBER", key, ...radiusWords(from, radius, unit, options), ...replyWith], found(replyWith))

/**
 * `geoSearch` around a member.
 *
 * @category geo
 * @since 0.1.0
 */
export const geoRadiusByMemberRo = (
  key: Arg,
  from: Arg,
  radius: number,
  unit: GeoUnit,
  options: GeoOptions = {}
): Command<Array<string>> => read(["GEORADIUSBYMEMBER_RO", key, ...radiusWords(from, radius, unit, options)], blobs)

/**
 * `geoSearchWith` around a member.
 *
 * @category geo
 * @since 0.1.0
 */
export const geoRadiusByMemberRoWith = (
  key: Arg,
  from: Arg,
  radius: number,
  unit: GeoUnit,
  replyWith: ReadonlyArray<GeoWith>,
  options: GeoOptions = {}
): Command<Array<FoundPlace>> =>
  read(["GEORADIUSBYMEMBER_RO", key, ...radiusWords(from, radius, unit, options), ...replyWith], found(replyWith))

/**
 * `geoSearchStore` around a member.
 *
 * @category geo
 * @since 0.1.0
 */
export const geoRadiusByMemberStore = (
  key: Arg,
  from: Arg,
  radius: number,
  unit: GeoUnit,
  destination: Arg,
  options: GeoOptions & { readonly STOREDIST?: boolean | undefined } = {}
): Command<number> =>
  write(
    [
      "GEORADIUSBYMEMBER",
      key,
      ...radiusWords(from, radius, unit, options),
      ...storeWords(destination, options.STOREDIST)
    ],
    integer,
    keysOfStore
  )
