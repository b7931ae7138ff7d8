// Random expressions over the variables of conditions, and random exchanges to evaluate them over. What is special here
// is written out for the reference: a header or a parameter that is missing is the empty string.
import fc from "fast-check";
import type { Facts } from "../../runtime/cel/condition-fixtures.ts";

/** An expression as it stands in a condition, and as another evaluator has to read it. */
export interface Pair {
  readonly ours: string;
  readonly theirs: string;
}

type Source = fc.Arbitrary<Pair>;

const HEADERS = ["x-a", "x-b", "accept"];
const PARAMETERS = ["page", "q"];
const CLAIMS = ["role", "groups", "level", "nested"];
/** None beyond the basic plane: the second evaluator counts the units of UTF-16, where CEL counts code points. */
const TEXTS = ["", "a", "admin", "/api/", "É", "A-z", "1", "-7", "true", ","];
const PATTERNS = ["^/api/", "a+$", "[0-9]{1,3}", "(a|b)*c", "^$", "."];

/** Puts expressions into a template: `@` stands for one of them each time. */
function fill(template: string, ...parts: Source[]): Source {
  const pieces = template.split("@");
  const write = (chosen: readonly Pair[], side: keyof Pair): string =>
    pieces.reduce((made, piece, index) => `${made}${chosen[index - 1]![side]}${piece}`);
  return fc
    .tuple(...parts)
    .map((chosen) => ({ ours: write(chosen, "ours"), theirs: write(chosen, "theirs") }));
}

function same(...sources: string[]): Source {
  return fc.constantFrom(...sources).map((source) => ({ ours: source, theirs: source }));
}

function missingAsEmpty(map: string, names: readonly string[]): Source {
  return fc.constantFrom(...names).map((name) => {
    const ours = `${map}[${JSON.stringify(name)}]`;
    return { ours, theirs: `(${JSON.stringify(name)} in ${map} ? ${ours} : "")` };
  });
}

const words = fc.constantFrom(...TEXTS);
const literal: Source = same(...TEXTS.map((text) => JSON.stringify(text)));
// The second evaluator replaces the empty text in other places than it is found at, takes a negative limit of `replace`
// for none, and drops what `split` has left over.
const wanted: Source = same(...TEXTS.filter((text) => text !== "").map((text) => JSON.stringify(text)));
const number: Source = same(
  ...["0", "1", "-1", "7", "200", "9223372036854775807", "-9223372036854775807", "3", "2", "5", "404"],
);
const index: Source = same("0", "1", "2", "-1");
/** Of a type that only the exchange tells; none of them may be there. */
const dynamic: Source = same(
  ...CLAIMS.map((name) => `auth.claims.${name}`),
  ...["metadata.count", "metadata.tags", "metadata.flag", "auth.claims.nested.deep"],
);

const leaves = {
  text: fc.oneof(
    literal,
    same("request.path", "request.method", "request.host", "request.rawQuery", "route", "auth.subject"),
    same("client.address", "response.body", "request.original.method"),
    missingAsEmpty("request.headers", HEADERS),
    missingAsEmpty("response.headers", HEADERS),
    missingAsEmpty("request.query", PARAMETERS),
  ),
  int: fc.oneof(number, same("response.status", "client.port")),
  texts: same("[]", '["a", "admin"]', '["POST", "PUT"]', 'request.path.split("/")'),
  bool: same("true", "false"),
};

interface Typed {
  readonly bool: Pair;
  readonly text: Pair;
  readonly int: Pair;
  readonly texts: Pair;
  readonly any: Pair;
}

const typed = fc.letrec<Typed>((tie: fc.LetrecTypedTie<Typed>) => {
  const bool = tie("bool");
  const text = tie("text");
  const int = tie("int");
  const texts = tie("texts");
  const any = tie("any");
  const options = { depthSize: "small", withCrossShrink: true } as const;
  return {
    bool: fc.oneof(
      options,
      leaves.bool,
      ...["==", "!=", "<", "<=", ">", ">="].flatMap((op) => [
        fill(`@ ${op} @`, text, text),
        fill(`@ ${op} @`, int, int),
        fill(`dyn(@) ${op} @`, any, any),
      ]),
      fill("(@) && (@)", bool, bool),
      fill("(@) || (@)", bool, bool),
      fill("!(@)", bool),
      fill("((@) ? (@) : (@))", bool, bool, bool),
      ...["startsWith", "endsWith", "contains"].map((method) => fill(`@.${method}(@)`, text, text)),
      ...PATTERNS.map((pattern) => fill(`@.matches(${JSON.stringify(pattern)})`, text)),
      fill("@ in @", text, texts),
      fill("@ in @", any, same("auth.claims", "metadata", '{"role": 1}', "dyn([1, 2.0, 'a'])")),
      fill("@ in [@, @]", int, int, int),
      ...HEADERS.map((name) => same(`"${name}" in request.headers`, `has(request.query.${PARAMETERS[0]})`)),
      same(...CLAIMS.map((name) => `has(auth.claims.${name})`), "has(auth.claims.nested.deep)"),
      ...["all", "exists", "exists_one"].flatMap((macro) => [
        fill(`@.${macro}(x, x == @)`, texts, text),
        fill(`@.${macro}(x, x.contains("a") || @)`, texts, bool),
        fill(`dyn(@).${macro}(x, dyn(x) == @)`, any, any),
        fill(`[1, 2, 3].${macro}(x, x * @ > @)`, int, int),
        fill(`request.headers.${macro}(x, x == @)`, text),
      ]),
      fill("bool(@)", same('"true"', '"0"', '"yes"')),
      fill("(@) == (@)", texts, texts),
      fill("type(@) == type(@)", any, any),
    ),
    text: fc.oneof(
      options,
      leaves.text,
      fill("(@ + @)", text, text),
      ...["lowerAscii", "upperAscii", "trim"].map((method) => fill(`@.${method}()`, text)),
      fill("@.substring(@)", text, index),
      fill("@.substring(@, @)", text, index, index),
      fill("@.charAt(@)", text, index),
      fill("@.replace(@, @)", text, wanted, text),
      fill("@.replace(@, @, @)", text, wanted, text, same("0", "1", "2")),
      fill("@.join(@)", texts, text),
      fill("string(@)", int),
      fill("string(@)", any),
      fill("((@) ? @ : @)", bool, text, text),
      fill("@[@]", texts, index),
    ),
    int: fc.oneof(
      options,
      leaves.int,
      ...["+", "-", "*", "/", "%"].map((op) => fill(`(@ ${op} @)`, int, int)),
      fill("-(@)", int),
      fill("size(@)", text),
      fill("size(@)", texts),
      fill(
        "@.size()",
        any.map(({ ours, theirs }) => ({ ours: `dyn(${ours})`, theirs: `dyn(${theirs})` })),
      ),
      fill("@.indexOf(@)", text, text),
      fill("@.lastIndexOf(@)", text, text),
      fill("int(@)", same('"1"', '"-7"', '""', '"0x1"', '"99999999999999999999"')),
      fill("int(@)", any),
      fill("int(double(@))", int),
      fill("int(uint(@))", int),
      fill("size(bytes(@))", text),
    ),
    texts: fc.oneof(
      options,
      leaves.texts,
      fill("[@, @]", text, text),
      fill("(@ + @)", texts, texts),
      fill("@.split(@)", text, text),
      fill("@.split(@, @)", text, text, same("-1", "0")),
      fill("@.filter(x, x != @)", texts, text),
      fill("@.map(x, x + @)", texts, text),
      fill("@.map(x, x != @, x + @)", texts, text, text),
    ),
    any: fc.oneof(
      options,
      dynamic,
      fill("dyn(@)", text),
      fill("dyn(@)", int),
      fill("dyn(@)", bool),
      fill("dyn(double(@))", int),
      fill("dyn(uint(@))", int),
      fill("dyn(@)", texts),
      fill('dyn({"role": @, "n": 1})', text),
      same("dyn(null)", "dyn(b'a')", "auth.claims", 'dyn({1: "a", true: 2})'),
    ),
  };
});

/** Expressions of every type, decisions most of all. */
export const expressions: Source = fc.oneof(
  { weight: 4, arbitrary: typed.bool },
  { weight: 1, arbitrary: typed.text },
  { weight: 1, arbitrary: typed.int },
  { weight: 1, arbitrary: typed.texts },
  { weight: 1, arbitrary: typed.any },
);

/** No null and `nested` always a map: the second evaluator says of `has` on others what the specification does not. */
const claim = fc.oneof(
  words,
  fc.integer({ min: -3, max: 300 }),
  fc.double(),
  fc.boolean(),
  fc.array(words, { maxLength: 3 }),
  fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 3 }),
  fc.dictionary(fc.constantFrom("deep", "role"), words),
);

const claims = fc.record(
  {
    role: claim,
    groups: claim,
    level: claim,
    nested: fc.dictionary(fc.constantFrom("deep", "role"), words),
  },
  { requiredKeys: ["role", "nested"] },
);

const lines = fc.uniqueArray(fc.tuple(fc.constantFrom(...HEADERS), words), { selector: ([name]) => name });

/** Exchanges in which a response has come. */
export const exchanges: fc.Arbitrary<Facts> = fc.record({
  path: fc.constantFrom("/", "/api/a", "/api/b/c", "/aaa"),
  rawQuery: fc.constantFrom("", "page=2", "page=2&q=a%20b", "q="),
  method: fc.constantFrom("GET", "POST", "PUT", "OPTIONS"),
  authority: fc.constantFrom("a.example", "A.example:80"),
  headers: lines,
  metadata: fc.record(
    {
      count: claim,
      tags: fc.array(words, { maxLength: 3 }),
      flag: fc.boolean(),
      auth: fc.record({
        subject: words,
        scheme: words,
        claims,
      }),
    },
    { requiredKeys: ["auth", "tags"] },
  ),
  response: fc.record({ status: fc.constantFrom(200, 204, 404, 503), headers: lines, body: words }),
});
