package sigma

import (
	"strings"
	"testing"
)

// ruleWith is a third-party rule with one selection, given as indented YAML under "selection:".
func ruleWith(selection string) string {
	lines := strings.Split(strings.TrimSpace(selection), "\n")
	return "title: t\nid: 11111111-1111-4111-8111-111111111111\nlevel: low\n" +
		"logsource: {product: kubernetes, service: audit}\ndetection:\n  selection:\n    " +
		strings.Join(lines, "\n    ") + "\n  condition: selection\n"
}

var siteLists = map[string][]string{
	"admins":   {"alice", "ops-*"},
	"networks": {"10.0.0.0/8", "fd00::/8"},
	"one":      {"x"},
	"empty":    {},
}

func loadSelection(t *testing.T, selection string) (string, []Problem) {
	t.Helper()
	c := Load([]File{{Name: "rules.yml", Data: []byte(ruleWith(selection))}}, Options{Placeholders: siteLists})
	if len(c.Rules) == 0 {
		return "", c.Problems
	}
	return render(c.Rules[0].Detection.Selections[0].Match), c.Problems
}

func TestModifiersGiveNormalisedValues(t *testing.T) {
	tests := []struct{ name, selection, want string }{
		{"plain text is text", `verb: create`, `all(verb = "create")`},
		{"a list is alternatives", `verb: [create, update]`, `all(verb = "create" , "update")`},
		{"a map is a conjunction", "verb: get\nobjectRef.name: x", `all(verb = "get" & objectRef.name = "x")`},
		{"a list of maps is a disjunction", "- verb: get\n- verb: list\n  a: 1", `any(all(verb = "get") & all(verb = "list" & a = 1))`},
		{"a list of texts is keywords", "- evil\n- b*d\n- 4625", ` = "evil" , "b"*"d" , "4625"`},
		{"one text is a keyword", `"evil"`, ` = "evil"`},
		{"keywords and maps may be mixed", "- evil\n- verb: get", `any(all(verb = "get") &  = "evil")`},
		{"keywords with all", `"|all": [a, b]`, `all( =[all] "a" , "b")`},
		{"numbers, booleans, null and empty text keep their type", `a: [1, -2.5, true, null, '']`, `all(a = 1 , -2.5 , true , null , "")`},
		{"numbers in quotes are text", `a: '1'`, `all(a = "1")`},
		{"dates are text", `a: 2024-01-01`, `all(a = "2024-01-01")`},
		{"yes is text, as in YAML 1.2", `a: yes`, `all(a = "yes")`},
		{"star and question mark are wildcards", `a: 'x*y?z'`, `all(a = "x"*"y"?"z")`},
		{"a lone star", `a: '*'`, `all(a = *)`},
		{"repeated stars are one", `a: 'x**'`, `all(a = "x"*)`},

		{"contains", `a|contains: x`, `all(a = *"x"*)`},
		{"contains adds no second star", `a|contains: '*x*'`, `all(a = *"x"*)`},
		{"startswith", `a|startswith: x`, `all(a = "x"*)`},
		{"endswith", `a|endswith: x`, `all(a = *"x")`},
		{"affixes take numbers as text", `a|contains: 8080`, `all(a = *"8080"*)`},
		{"all", `a|contains|all: [x, y]`, `all(a =[all] *"x"* , *"y"*)`},
		{"cased", `a|cased: X`, `all(a =[cased] "X")`},
		{"neq", `a|neq: [x, y]`, `all(a =[neq] "x" , "y")`},
		{"neq with a number", `a|neq: 1`, `all(a =[neq] 1)`},
		{"neq with all is met if one value is missing", `a|contains|all|neq: [x, y]`, `all(any(a =[neq] *"x"* & a =[neq] *"y"*))`},
		{"exists", `a|exists: true`, `all(a exists true)`},
		{"exists as YAML 1.1 writes it", `a|exists: no`, `all(a exists false)`},

		{"re", `a|re: 'x.*Y$'`, `all(a =~ /x.*Y$/)`},
		{"re takes backslashes as they are", `a|re: '\d+\\\*'`, `all(a =~ /\d+\\\*/)`},
		{"re with flags", `a|re|i|m|s: 'x'`, `all(a =~ /(?ims:x)/)`},
		{"re with flags binds the whole alternation", `a|re|i: 'x|y'`, `all(a =~ /(?i:x|y)/)`},
		{"re with contains searches, as it does anyway", `a|re|contains: 'x|y'`, `all(a =~ /x|y/)`},
		{"re with startswith is anchored", `a|re|startswith: 'x|y'`, `all(a =~ /\A(?:x|y)/)`},
		{"re with endswith is anchored", `a|re|endswith: 'x|y'`, `all(a =~ /(?:x|y)\z/)`},
		{"re with all and neq", `a|re|neq: [x, y]`, `all(a =~[neq] /x/ , /y/)`},

		{"base64", `a|base64: 'foobar'`, `all(a = "Zm9vYmFy")`},
		{"base64 takes escapes off first", `a|base64: 'a\*b'`, `all(a = "YSpi")`},
		{"base64 with contains", `a|base64|contains: 'foo'`, `all(a = *"Zm9v"*)`},
		{"base64offset", `a|base64offset|contains: 'foobar'`, `all(a = *"Zm9vYmFy"* , *"Zvb2Jhc"* , *"mb29iYX"*)`},
		{"base64offset of a length not divisible by three", `a|base64offset|contains: '/bin/bash'`, `all(a = *"L2Jpbi9iYXNo"* , *"9iaW4vYmFza"* , *"vYmluL2Jhc2"*)`},
		{"base64offset with all keeps alternatives together", `a|base64offset|contains|all: [foo, bar]`,
			`all(all(a = *"Zm9v"* , *"Zvb"* , *"mb2"* & a = *"YmFy"* , *"Jhc"* , *"iYX"*))`},
		{"utf16le", `a|utf16le|base64: 'cmd'`, `all(a = "YwBtAGQA")`},
		{"wide", `a|wide|base64: 'cmd'`, `all(a = "YwBtAGQA")`},
		{"utf16be", `a|utf16be|base64: 'cmd'`, `all(a = "AGMAbQBk")`},
		{"utf16 has a byte order mark", `a|utf16|base64: 'cmd'`, `all(a = "//5jAG0AZAA=")`},
		{"utf16le beyond ASCII", `a|utf16le|base64: 'é'`, `all(a = "6QA=")`},
		{"utf16le alone", `a|utf16le: 'cmd'`, `all(a = "c\x00m\x00d\x00")`},
		{"utf16 alone", `a|utf16: 'cmd'`, `all(a = "\ufeffc\x00m\x00d\x00")`},
		{"wide keeps wildcards", `a|wide: 'c*'`, `all(a = "c\x00"*)`},
		{"windash", `a|windash: ' -x'`, `all(a = " -x" , " /x" , " –x" , " —x" , " ―x")`},
		{"windash leaves dashes within words", `a|windash: 'a-b'`, `all(a = "a-b")`},
		{"windash after contains", `a|contains|windash: '/x'`, `all(a = *"-x"* , *"/x"* , *"–x"* , *"—x"* , *"―x"*)`},

		{"lt", `a|lt: 5`, `all(a < 5)`},
		{"lte", `a|lte: 5.5`, `all(a <= 5.5)`},
		{"gt", `a|gt: -5`, `all(a > -5)`},
		{"gte with a number in quotes", `a|gte: '400'`, `all(a >= 400)`},
		{"minute", `t|minute: 59`, `all(t time[minute] 59)`},
		{"hour", `t|hour: [0, 23]`, `all(t time[hour] 0 , 23)`},
		{"day", `t|day: 31`, `all(t time[day] 31)`},
		{"week", `t|week: 53`, `all(t time[week] 53)`},
		{"month", `t|month: 12`, `all(t time[month] 12)`},
		{"year", `t|year: 2026`, `all(t time[year] 2026)`},

		{"cidr", `ip|cidr: [10.0.0.0/8, 'fd00::/8', '::1']`, `all(ip in 10.0.0.0/8 , fd00::/8 , ::1/128)`},
		{"cidr of one address", `ip|cidr: 192.0.2.1`, `all(ip in 192.0.2.1/32)`},
		{"cidr of mapped addresses", `ip|cidr: '::ffff:10.0.0.0/104'`, `all(ip in 10.0.0.0/8)`},
		{"cidr from a site list", `ip|expand|cidr: '%networks%'`, `all(ip in 10.0.0.0/8 , fd00::/8)`},
		{"expand", `u|expand: '%admins%'`, `all(u = "alice" , "ops-"*)`},
		{"expand within text", `u|expand: 'a%one%b%admins%'`, `all(u = "axbalice" , "axbops-"*)`},
		{"expand with an escaped percent sign", `u|expand: '\%plain%one%'`, `all(u = "%plainx")`},
		{"expand then contains", `u|expand|contains: '%admins%'`, `all(u = *"alice"* , *"ops-"*)`},
		{"contains then expand", `u|contains|expand: '%admins%'`, `all(u = *"alice"* , *"ops-"*)`},
		{"expand with all keeps alternatives together", `u|expand|all: ['%admins%', y]`, `all(all(u = "alice" , "ops-"* & u = "y"))`},
		{"percent signs without expand are plain", `u: '%admins%'`, `all(u = "%admins%")`},
		{"fieldref", `a|fieldref: b.c`, `all(a ref "b.c")`},
		{"fieldref with an affix", `a|fieldref|startswith: b`, `all(a ref[startswith] "b")`},
		{"fieldref after an affix", `a|contains|fieldref: b`, `all(a ref[contains] "b")`},
		{"fieldref with neq", `a|fieldref|neq: b`, `all(a ref[neq] "b")`},
		{"neq may stand anywhere", `a|neq|endswith: b`, `all(a =[neq] *"b")`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, problems := loadSelection(t, tt.selection)
			if got != tt.want {
				t.Errorf("%s\n got %s\nwant %s\nproblems %v", tt.selection, got, tt.want, problems)
			}
		})
	}
}

func TestWrongItemsAreRefusedWithAReason(t *testing.T) {
	tests := []struct{ name, selection, want string }{
		{"an unknown modifier", `a|contain: x`, `unknown modifier "contain"; Sigma has all, startswith`},
		{"an empty modifier", `a|: x`, `unknown modifier ""`},
		{"a modifier in capitals", `a|Contains: x`, `unknown modifier "Contains"`},
		{"a modifier twice", `a|all|all: [x, y]`, `"all" stands twice`},
		{"two affixes", `a|startswith|endswith: x`, `"startswith" and "endswith" exclude each other`},
		{"two operations", `a|re|cidr: x`, `"re" and "cidr" exclude each other`},
		{"flags without re", `a|i: x`, `"i" belongs after re`},
		{"flags before re", `a|i|re: x`, `"i" belongs after re`},
		{"cased with re", `a|re|cased: x`, `"cased" cannot stand beside "re"; allowed there: i, m, s`},
		{"encoding before re", `a|base64|re: x`, `"base64" cannot stand beside "re"`},
		{"expand with re", `a|re|expand: x`, `"expand" cannot stand beside "re"`},
		{"contains with a comparison", `a|gt|contains: 1`, `"contains" cannot stand beside "gt"; allowed there: all, neq`},
		{"a comparison of a time part", `a|hour|gte: 1`, `"hour" and "gte" exclude each other`},
		{"exists with anything", `a|exists|neq: true`, `"neq" cannot stand beside "exists"; allowed there: none`},
		{"exists of text", `a|exists: maybe`, `takes true or false, not "maybe"`},
		{"exists of a list", `a|exists: [true, false]`, `takes one value`},
		{"a comparison with text", `a|lt: x`, `"lt" needs a number, not "x"`},
		{"a comparison with infinity", `a|lt: .inf`, `"lt" needs a number`},
		{"an infinite value", `a: .inf`, `no finite number`},
		{"an hour out of range", `a|hour: 24`, `"hour" needs a whole number from 0 to 23`},
		{"a fractional day", `a|day: 1.5`, `"day" needs a whole number from 1 to 31`},
		{"no network", `a|cidr: '10.*'`, `"cidr" needs a network`},
		{"a network with host bits", `a|cidr: 10.1.0.0/8`, `bits beyond its prefix; write 10.0.0.0/8`},
		{"an address with a zone", `a|cidr: 'fe80::1%eth0'`, `"cidr" needs a network`},
		{"base64 of a wildcard", `a|base64: 'x*'`, `"base64" cannot encode a wildcard`},
		{"contains before base64", `a|contains|base64: x`, `put contains, startswith or endswith after it`},
		{"base64 of nothing", `a|base64: ''`, `cannot encode an empty value`},
		{"UTF-16 that is no text", `a|utf16le: 'ÿÿ'`, `add base64`},
		{"windash on many dashes", `a|windash: '-a -b -c -d -e -f'`, `more than 5 dashes`},
		{"a placeholder without values", `a|expand: '%nobody%'`, `%nobody% has no values; give the site list nobody`},
		{"a placeholder with an empty list", `a|expand: '%empty%'`, `%empty% has no values`},
		{"a field reference with wildcards", `a|fieldref: 'b*'`, `name of a field without wildcards`},
		{"null with contains", `a|contains: null`, `null can be compared only`},
		{"null with re", `a|re: null`, `not null`},
		{"look-ahead", `a|re: '^(?!system:)'`, `uses (?!: look-around`},
		{"look-behind", `a|re: '(?<=x)y'`, `look-around`},
		{"a back-reference", `a|re: '(x)\1'`, `uses the back-reference \1`},
		{"a possessive quantifier", `a|re: 'x++'`, `possessive and doubled quantifiers`},
		{"an unclosed group", `a|re: '(x'`, `missing closing ): (x`},
		{"a group closed from within", `a|re|i: 'x)(?-i:y'`, `unexpected ): x)`},
		{"a huge repeat", `a|re: '(x{1000}){1000}'`, `regular expression`},
		{"a large program", `a|re: '` + strings.Repeat("x{900}", 6) + `'`, `more than 5000`},
		{"a long pattern", `a|re: '` + strings.Repeat("x", 2049) + `'`, `more than 2048 bytes`},
		{"an empty pattern", `a|re: ''`, `needs a regular expression`},
		{"a long value", `a: '` + strings.Repeat("x", 8193) + `'`, `more than 8192 bytes`},
		{"many wildcards", `a: '` + strings.Repeat("x*", 65) + `'`, `65 wildcards`},
		{"a nested map", "a:\n  b: c", `write the nested field with dots, as a.name`},
		{"a nested list", `a: [[x]]`, `lists and maps cannot be nested`},
		{"a map in a list of values", `a: [{b: c}]`, `lists and maps cannot be nested`},
		{"an empty list", `a: []`, `the list of a is empty`},
		{"an empty selection", `{}`, `selection selection is empty`},
		{"a selection without content", ``, `selection selection is empty`},
		{"a list of lists", "- [x]\n- y", `no lists and nothing empty`},
		{"an empty keyword", "- ''", `empty keyword`},
		{"a null keyword", "- null\n- x", `null can be compared only for a field`},
		{"a comparison without a field", `'|gt': 5`, `"gt" needs a field before it`},
		{"a list modifier without values to negate", `'|neq': x`, `"neq" needs a field before it`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, problems := loadSelection(t, tt.selection)
			if got != "" {
				t.Fatalf("loaded as %s", got)
			}
			if !mentions(problems, tt.want) {
				t.Errorf("no problem says %q: %v", tt.want, problems)
			}
		})
	}
}

// mentions is true if an error problem holds the text.
func mentions(problems []Problem, text string) bool {
	for _, p := range problems {
		if !p.Warning && strings.Contains(p.Message, text) {
			return true
		}
	}
	return false
}

func TestBackslashesEscapeOnlyWildcardsAndThemselves(t *testing.T) {
	tests := []struct{ in, want string }{
		{`C:\Windows`, `"C:\\Windows"`},
		{`C:\\Windows`, `"C:\\Windows"`},
		{`a\*b`, `"a*b"`},
		{`a\?b`, `"a?b"`},
		{`a\\*`, `"a\\"*`},
		{`a\\\*`, `"a\\*"`},
		{`a\\\b`, `"a\\\\b"`},
		{`a\\\\b`, `"a\\\\b"`},
		{`a\\\\*`, `"a\\\\"*`},
		{`a\`, `"a\\"`},
		{`\%x`, `"\\%x"`},
		{`*?*`, `*?*`},
		{`ü*ö`, `"ü"*"ö"`},
		{``, ``},
	}
	for _, tt := range tests {
		if got := renderParts(parseValue(tt.in)); got != tt.want {
			t.Errorf("parseValue(%s) = %s, want %s", tt.in, got, tt.want)
		}
	}
}
