"""Words of other languages that may be written here, each with what the rule language writes instead.

Patterns: the filters of EventBridge, Event Grid, MongoDB, Elasticsearch, Vector, Service Bus and SQL. Expressions: C,
JavaScript, CEL, JMESPath and SQL. Texts: the placeholders of templates and shells. Nothing here is refused or accepted;
the callers decide, and take the cure from here.
"""

import re
from collections.abc import Iterator, Mapping

_EQUALITY = "for equality write the value itself"
_ONE_OF = "for one of several write a list of them"
_NOT = "write { not: … }"
_IGNORE_CASE = "write { ignore_case: … }"
_GLOB = "write { glob: … }: * is any text, ? one character"
_PREFIX = "did you mean prefix? write { prefix: … }"
_SUFFIX = "did you mean suffix? write { suffix: … }"
_CONTAINS = 'in a text write { glob: "*…*" }, in an array the element itself'
_BETWEEN = "write { between: [10, 20] }, both bounds included"
_NUMBERS = "write { gt: 10 }, gte, lt, lte or { between: [10, 20] }"
_OUTSIDE = "write { not: { between: [10, 20] } }"
_NOT_LIKE = 'write { not: { glob: "*…*" } }'
_NULL = "write [null, { exists: false }] for null or missing, null for null alone"
_NOT_NULL = "write { not: [null] }: there is a value, and it is not null"
_EXISTS = "write { exists: true } or { exists: false }"
_AND = "keys beside each other are all asked for"
_OR = "alternatives of one field are a list; alternatives over several fields stand in `when`"
_LENGTH = "write `when: data.x | length == 2`"
_KIND = "write `when: data.x is string` (number, boolean, mapping, sequence)"
_WHEN = "write it in `when`"
_ELEMENT = "write { any: … } for some element, { all: … } for every one"

_TABLE: Mapping[str, str] = {
    _EQUALITY: "eq equal equals equalto is isequalto stringequals stringeq numberequals boolequals term matchphrase"
    " matchexact exact = ==",
    _ONE_OF: "in isin oneof anyof stringin numberin terms inlist valuein containsanyof",
    _NOT: "ne neq noteq notequal notequals notequalto isnot isnt anythingbut nin notin noneof nor mustnot stringnotin"
    " numbernotin unless exclude excludes != <> !",
    _IGNORE_CASE: "equalsignorecase ignorecase eqic ieq iequals insensitive caseinsensitive equalsfold equalfold eqfold"
    " stringequalsignorecase icase",
    _GLOB: "regex regexp matches wildcard like ilike similarto rlike pattern fuzzy match stringlike =~ ~ ~=",
    _PREFIX: "startswith beginswith begins stringstartswith stringbeginswith hasprefix starts matchphraseprefix"
    " matchboolprefix",
    _SUFFIX: "endswith ends stringendswith hassuffix",
    _CONTAINS: "contains includes include has icontains stringcontains containsall containsany containstext arraycontains"
    " substring elementin querystring",
    _NOT_LIKE: "notcontains doesnotcontain stringnotcontains stringnotbeginswith stringnotendswith notlike notilike"
    " notmatches notstartswith notendswith notregex !~",
    "did you mean gt?": "greaterthan greater numbergreaterthan above morethan after more isgreaterthan over >",
    "did you mean gte?": "ge gteq gtoreq atleast greaterthanorequal greaterthanorequals greaterthanorequalto"
    " numbergreaterthanorequals min minimum from since >=",
    "did you mean lt?": "lessthan less numberlessthan below before under islessthan <",
    "did you mean lte?": "le lteq ltoreq atmost lessthanorequal lessthanorequals lessthanorequalto numberlessthanorequals"
    " max maximum until <=",
    _NUMBERS: "numeric range number",
    _BETWEEN: "btw numberinrange inrange within isbetween",
    _OUTSIDE: "notbetween numbernotinrange notinrange",
    _NULL: "isnull isnullorundefined isnone isempty empty null isundefined undefined missing ismissing isnil",
    _NOT_NULL: "isnotnull notnull notempty isnotempty isdefined",
    _EXISTS: "exist defined present ispresent haskey hasfield",
    "write { cidr: 10.0.0.0/8 }": "ipaddress ipin incidr iprange ipcidr cidrmatch subnet ipcidrcontains",
    _AND: "and must allof bool filter every expr",
    _OR: "or should some either",
    _LENGTH: "size length len count",
    _KIND: "type typeof istype",
    _WHEN: "mod where jsonschema script bitsallset",
    _ELEMENT: "elemmatch nested each foreach",
}  # fmt: skip
_OPERATORS = {word: cure for cure, words in _TABLE.items() for word in words.split()}
_OPERATORS["notexists"] = "write { exists: false }"
_FIELDS_TOO = frozenset(
    "contains includes must filter should after before bool count each element empty ends equal every exclude"  # noqa: SIM905 - a table
    " excludes exact from has include is length len less like match max maximum min minimum missing mod more"
    " nested null number over pattern present range script since size some starts term terms type under undefined"
    " until where within above below begins subnet either iprange ipaddress unless greater".split()
)
"""Words that data may well use for a field of its own: without `$` they are doubted only inside of another field."""
_COMMON_FIELDS = frozenset(
    "type size length len count min max minimum maximum number from since until before after pattern over under"  # noqa: SIM905 - a table
    " more less ends starts is subnet ipaddress iprange script empty above below every each some include exclude"
    " where mod within bool element".split()
)
"""Of those, the ones that are so common as fields inside of fields that only `$` or the value's form distinguishes them."""
_ARRAYS_ASK = frozenset({"must", "should", "mustnot", "filter", "or", "and", "nor", "bool"})


def folded(name: str) -> str:
    """A word without its case and separators: `equals-ignore-case`, `EqualsIgnoreCase` and `$equals_ignore_case`."""
    bare = re.sub(r"[-_$\s.@]", "", name)
    return (bare or name).casefold()


def operator_cure(name: str, *, inside_field: bool = True, value: object = None) -> str:
    """What to write instead of an operator of another language; empty for what is none, or more likely a field.

    `value` is what stands under it: a list of objects under `must` is a condition, a text under `type` is data.
    """
    word = folded(name)
    cure = _OPERATORS.get(word, "")
    if not cure or name.startswith("$") or not word.isalnum():
        return cure
    is_field = word in _COMMON_FIELDS or (word in _FIELDS_TOO and not inside_field)
    return "" if is_field and not _is_condition(word, value) else cure


def operator_words(*, inside_field: bool | None) -> list[str]:
    """The words that `operator_cure` knows, folded: those that are no field there either; None: all of them."""
    if inside_field is None:
        return list(_OPERATORS)
    return [word for word in _OPERATORS if operator_cure(word, inside_field=inside_field)]


def may_be_field(name: str) -> bool:
    """Whether data may well have a field of this name."""
    return name.isalpha() and name in _FIELDS_TOO


def _is_condition(word: str, value: object) -> bool:
    """Whether what stands under a word can only be a condition: a list of objects, or a comparison and its number."""
    if not isinstance(value, list):
        return False
    kinds = [getattr(item, "value", item) for item in value]
    if word in _ARRAYS_ASK:
        return bool(kinds) and all(isinstance(kind, dict) for kind in kinds)
    return any(isinstance(kind, str) and kind in ("<", "<=", "=", ">=", ">") for kind in kinds)


_COMPARISON = re.compile(r"\s*(>=|<=|!=|==|=~|<>|[<>=](?![<>a-zA-Z/!?]))\s*(\S.*)", re.DOTALL)
_COMPARED = {">=": "gte", "<=": "lte", ">": "gt", "<": "lt", "!=": "not", "<>": "not", "=~": "glob"}


def comparison_cure(text: str) -> str:
    """What to write instead of a text such as `>= 100`, where a value stands; empty for any other text."""
    found = _COMPARISON.fullmatch(text)
    if found is None:
        return ""
    operator = _COMPARED.get(found[1])
    return _EQUALITY if operator is None else f"write {{ {operator}: {found[2][:40]} }}"


_LITERAL = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_PATTERN = 'a pattern does this: match: { … { glob: "*…*" } }'
_NO_CALL = "there are no calls; "
_METHODS: Mapping[str, str] = {
    **dict.fromkeys(("startswith", "beginswith", "hasprefix"), "write match: { … { prefix: … } }, or data.x[:2] == 'ab'"),
    **dict.fromkeys(("endswith", "hassuffix"), "write match: { … { suffix: … } }, or data.x[-2:] == 'ab'"),
    **dict.fromkeys(("contains", "includes", "indexof", "strpos", "instr", "anyof"), "write 'a' in data.x"),
    **dict.fromkeys(("tolower", "tolowercase", "lower", "lcase", "downcase", "lowercase"), "write data.x | lower"),
    **dict.fromkeys(("toupper", "touppercase", "upper", "ucase", "upcase", "uppercase"), "write data.x | upper"),
    **dict.fromkeys(("length", "len", "size", "count"), "write data.x | length"),
    **dict.fromkeys(("trim", "strip", "replace", "join", "first", "last", "round", "abs", "int", "float", "title",
                     "truncate", "default", "number", "string"), "write a filter: data.x | {}"),
    **dict.fromkeys(("str", "tostring", "text"), "write data.x | string"),
    **dict.fromkeys(("tonumber", "parseint", "parsefloat", "double", "decimal", "toint"), "write data.x | number"),
    **dict.fromkeys(("coalesce", "ifnull", "isnull", "nvl", "get", "getordefault"), "write data.x | default(0)"),
    **dict.fromkeys(("exists", "has", "haskey", "defined", "isdefined", "isset", "present"), "write data.x is defined"),
    **dict.fromkeys(("matches", "match", "test", "regex", "regexmatch", "regexpmatch", "search", "like"),
                    'write match: { … { glob: "*…*" } }'),
    **dict.fromkeys(("isnone", "isempty"), "write data.x is none"),
    **dict.fromkeys(("equalsignorecase", "equals"), "write data.x == 'a', and | lower on both for any case"),
    **dict.fromkeys(("not",), "write not data.x"),
}  # fmt: skip

_EXPRESSION_CURES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, flags), cure)
    for pattern, flags, cure in (
        (r"&", 0, "write and"),
        (r"\|\|", 0, "write or"),
        (r"!==|<>", 0, "write !="),
        (r"===", 0, "write =="),
        (r"=~|!~|~=", 0, _PATTERN),
        (r"(?<![=!<>~])=(?![=~])", 0, "write == to compare"),
        (r"\?\?|\?:", 0, "write | default(x)"),
        (r"\|\s*[A-Za-z_]\w*\s*:", 0, "arguments stand in parentheses: write | default('x')"),
        (r"\.\w*@|\.#", 0, "write data['@x'] for such a name"),
        (r"\.[A-Za-z_]\w*-[A-Za-z_]", 0, "write data['first-name'] for a name with a hyphen"),
        (r"\?\.", 0, "write . alone; default covers what is missing on the way"),
        (r"!(?![=~])", 0, "write not"),
        (r"\?(?![.?:])", 0, "write a if condition else b"),
        (r"\b(?:not\s+)?(?:i?like|rlike|matches|similar\s+to|regexp?)\b(?!\s*\()", re.I, _PATTERN),
        (r"\b(?:contains|includes)\b(?!\s*\()", re.I, "write 'a' in data.x"),
        (r"\b(?:starts_?with|begins_?with)\b(?!\s*\()", re.I, "a pattern does this: match: { … { prefix: … } }"),
        (r"\bends_?with\b(?!\s*\()", re.I, "a pattern does this: match: { … { suffix: … } }"),
        (r"\bbetween\b", re.I, "write 10 <= data.x <= 20"),
        (r"\bis\s+not\s+(?:null|nil|empty|set|missing|undef)\b", re.I, "write is not none"),
        (r"\bis\s+(?!not\b)(?:null|nil|empty|unset|missing|undef)\b", re.I, "write is none"),
        (r"(?<![.\w])(?<!is )(?<!is not )(?<!IS )(?<!IS NOT )(?:null|nil|undefined|NULL|Null|NONE|Nil)\b(?!\s*\()", 0,
         "write is none"),
        (r"(?<![.\w])TRUE\b", 0, "write true"),
        (r"(?<![.\w])FALSE\b", 0, "write false"),
        (r"(?<![.\w])(?:yes|on)\b", re.I, "write true"),
        (r"(?<![.\w])(?:no|off)\b", re.I, "write false"),
        (r"\b(?:AND|And)\b", 0, "write and"),
        (r"\b(?:OR|Or)\b", 0, "write or"),
        (r"\b(?:NOT|Not)\b", 0, "write not"),
        (r"\bIN\b", 0, "write in"),
        (r"\b(?:eq|equals)\b(?!\s*\()", re.I, "write =="),
        (r"\bne\b", re.I, "write !="),
        (r"\b(?:gte|ge)\b(?!\s*\()", re.I, "write >="),
        (r"\b(?:lte|le)\b(?!\s*\()", re.I, "write <="),
        (r"\bgt\b", re.I, "write >"),
        (r"\blt\b", re.I, "write <"),
        (r"\bxor\b", re.I, "write a != b"),
        (r"[“”‘’«»„]", 0, "write straight quotes: ' or \""),
        (r"`", 0, "write a text in ' or \""),
        (r"\$\{?\.?(?=\w)|@\.", 0, "write data.x, without $ or @"),
        (r"\^", 0, "there is no power"),
        (r"=>|->", 0, "there are no functions; a pattern with any: or all: looks at every element"),
        (r"(?<![.\w])(?:event|evt|msg|message|e)\.(?=data\b|id\b|type\b|subject\b|source\b|time\b|meta\b|trace\b)", 0,
         "write data.x: the names of the event stand alone"),
        (r"(?<![.\w])(?:payload|body|json|event|message|msg|root|this|item|doc|record|ctx|fields)\b(?!\s*\()", 0,
         "the body is data: write data.x"),
        (r"(?<![.\w])(?:headers?|properties|attributes|application_properties)\b(?!\s*\()", 0,
         "write meta.headers.x for a header, meta.x for a property of the broker"),
    )
)  # fmt: skip
_ARGUMENTS = re.compile(r"\|\s*\w+\s*\([^()]*\)")
"""Those of a filter, whose `=` names an argument and compares nothing."""
_CALL = re.compile(r"(?<!\|)(?<!\| )(?:\.|\b)([A-Za-z_]\w*)\s*\(")


def expression_cure(text: str) -> str:
    """What to write instead of what another language writes in an expression that does not compile; empty if unknown."""
    bare = _LITERAL.sub(lambda literal: "'" + "x" * (len(literal[0]) - 2) + "'", text)
    bare = _ARGUMENTS.sub(lambda arguments: arguments[0].replace("=", " "), bare)
    found: dict[str, int] = {}
    for call in _CALL.finditer(bare):
        name = call[1]
        cure = _METHODS.get(folded(name))
        if cure is not None and name not in ("and", "or", "not", "in", "is", "if", "else"):
            found.setdefault(_NO_CALL + cure.replace("{}", folded(name)), call.start())
    for pattern, cure in _EXPRESSION_CURES:
        match = pattern.search(bare)
        if match is not None:
            found.setdefault(cure, match.start())
    first = sorted(found, key=found.__getitem__)[:3]
    return "; ".join(first)


_NAMES = "id|origin|source|type|subject|time|data|meta|trace"
_PLACEHOLDER = re.compile(
    rf"""
        \#\{{ \s* (?P<ruby>[A-Za-z_][\w.\[\]]*) \s* \}}                    # #{{x}}
    |   \$\( \s* (?P<hub>[A-Za-z_][\w.-]*) [^()]{{0,60}} \)                # $(x), as a template of Notification Hubs
    |   \$\.(?P<jsonpath>[A-Za-z_][\w.\[\]]*)                              # $.x, JSONPath
    |   \$(?P<shell>(?:{_NAMES})\b(?:\.[\w.]+)?)                           # $data.x
    |   <%=? \s* (?P<erb>[A-Za-z_][\w.]*) \s* %>
    |   \[\[ \s* (?P<wiki>[A-Za-z_][\w.]*) \s* \]\]
    |   (?<![{{$\w]) \{{ \s? (?P<brace>[A-Za-z_][\w.]*|\d) \s? \}} (?!\}})     # {{x}} in single braces
    |   (?<![{{$\w]) \{{ \s? (?P<half>(?:{_NAMES})\b[\w.]*) \s? \}}\}}        # {{x}} with a brace too few before it
    |   (?<![\w%]) % (?P<percent>[A-Za-z_][\w.]*) % (?![\w%])
    |   (?<!\w) % \( (?P<python>[A-Za-z_]\w*) \) [sd]
    """,
    re.VERBOSE,
)


def placeholders(text: str) -> Iterator[tuple[int, str, str]]:
    """Each placeholder of another language in a text, once: (offset, as written, cure)."""
    known: set[str] = set()
    for found in _PLACEHOLDER.finditer(text):
        if found[0] not in known:
            known.add(found[0])
            kind, name = next((kind, value) for kind, value in found.groupdict().items() if value is not None)
            path = name if kind in ("shell", "half") or name.startswith(("data.", "meta.")) else f"data.{name}"
            yield found.start(), found[0], f"write {{{{ {path} }}}}"


def placeholder_cure(text: str) -> str:
    """What to write instead of the first placeholder of another language in a text; empty if there is none."""
    return next((cure for _, _, cure in placeholders(text)), "")
