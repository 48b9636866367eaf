package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/foretop/foretop/pkg/engine"
	"github.com/foretop/foretop/pkg/sigma"
)

// This file: every byte that means something to a scanner, at every place within the blocks that it may read at once.

// blockRules ask for what stands around the places that are tried.
func blockRules() []*sigma.Rule {
	is := func(field string, values ...string) *sigma.Item {
		item := &sigma.Item{Field: field, Cased: true}
		for _, v := range values {
			item.Values = append(item.Values, sigma.Value{Text: v})
		}
		return item
	}
	ends := func(field, text string) *sigma.Item {
		return &sigma.Item{Field: field, Values: []sigma.Value{{Pattern: []sigma.Part{{Wild: sigma.Many}, {Literal: text}}}}}
	}
	exists := func(field string) *sigma.Item {
		return &sigma.Item{Field: field, Op: sigma.OpExists, Values: []sigma.Value{{Kind: sigma.Bool, Bool: true}}}
	}
	var rules []*sigma.Rule
	for i, item := range []*sigma.Item{
		is("verb", "create"), is("objectRef.resource", "pods"), ends("userAgent", "yz"), ends("requestObject.spec.a", "yz"), exists("requestObject.spec.a"), exists("userAgent"), exists("requestObject"),
		is("requestObject.spec.b", "last"), is("annotations.k.v", "x"), exists("responseStatus.code"),
		{Field: "responseStatus.code", Op: sigma.OpGTE, Values: []sigma.Value{{Kind: sigma.Number, Text: "400", Number: 400}}},
	} {
		rules = append(rules, &sigma.Rule{Title: item.Field, ID: fmt.Sprint(i), Detection: sigma.Detection{Selections: []sigma.Selection{{Match: item}}, Condition: sigma.Ref(0)}})
	}
	container := &sigma.Rule{Title: "container", ID: "c", Logsource: sigma.Logsource{Category: "container"}}
	container.Detection = sigma.Detection{Selections: []sigma.Selection{{Match: ends("container.name", "yz")}}, Condition: sigma.Ref(0)}
	return append(rules, container)
}

// blockForms hold a text, PAD and SNIP, where scanners read differently: skipped and asked for, keys and values.
var blockForms = []string{
	`{"skipped":"PADSNIP","verb":"create"}`,
	`{"userAgent":"PADSNIPyz","verb":"create"}`,
	`{"PADSNIP":[1,{"verb":"get"}],"verb":"create"}`,
	`{"PADSNIP":"","userAgent":"SNIPPADyz"}`,
	`{"skipped":{"PAD":["SNIP",{"SNIP":"PAD"},[]]},"objectRef":{"PAD":"SNIP","resource":"pods"},"verb":"create"}`,
	`{"requestObject":{"spec":{"PADSNIP":{"a":1},"a":"PADSNIPyz","c":"SNIP","b":"last"}},"verb":"get"}`,
	`{"verb":"create","objectRef":{"resource":"pods"},"requestObject":{"PAD":"SNIP","spec":{"x":["PADSNIP",{}],"containers":[{"SNIP":"PAD","name":"PADSNIPyz"}]}}}`,
	`{"annotations":{"PADSNIP":"k.v","k":{"v":"x"},"SNIP":"PAD"},"requestObject":["PADSNIP",[{"spec":{"b":"last"}}]]}`,
}

var snips = []string{"", `\"`, `\\`, `\\\"`, `\\\\`, `\u0022`, `\u005c`, `\u005C\"`, `\/`, `\n`, `\ud83d\ude00`, `\ud83d`, `\udc00\ud83d`, "é", "€", "😀", "\xff", "\xc3", "\x7f", "{", "}", "[", "]", ":", ",", "{}", "],", "':'", "\u2028"}

func TestTextIsReadAlikeAtEveryPlaceInABlock(t *testing.T) {
	rules := blockRules()
	set := compiled(t, rules)
	j, v := set.NewJudge(), new(engine.Verdict)
	pads := make([]int, 0, 100)
	for n := range 68 {
		pads = append(pads, n)
	}
	pads = append(pads, 95, 96, 119, 120, 121, 126, 127, 128, 129, 191, 192, 193, 256, 4031, 4095, 4096, 4097)
	for _, form := range blockForms {
		for _, n := range pads {
			for _, snip := range snips {
				text := strings.NewReplacer("PAD", strings.Repeat("x", n), "SNIP", snip).Replace(form)
				checkVerdict(t, rules, j, v, amid(text), &envelopes[1])
			}
		}
	}
}

// amid gives text with other JSON right behind it, which a reader must not see.
func amid(text string) []byte {
	b := []byte(text + `","verb":"create","userAgent":"yz"}]}"`)
	return b[:len(text)]
}

func TestNumbersSpaceAndDepthAreReadAlikeAtEveryPlaceInABlock(t *testing.T) {
	rules := blockRules()
	set := compiled(t, rules)
	j, v := set.NewJudge(), new(engine.Verdict)
	for n := range 140 {
		space, digits := strings.Repeat(" \n\t\r", n/4+1)[:n], strings.Repeat("0", n)
		depth := min(n*4+1, 500)
		for _, text := range []string{
			`{` + space + `"skipped":[]` + space + `,` + space + `"verb"` + space + `:` + space + `"create"` + space + `}`,
			`{"skipped":-1.5` + digits + `e-0` + digits + `,"responseStatus":{"code":` + space + `403.0` + digits + `}}`,
			`{"skipped":1` + digits + `,"responseStatus":{"code":4` + digits + `},"verb":"create"}`,
			`{"responseStatus":{"code":4.03e` + digits + `2},"skipped":[true,` + space + `false,null` + space + `],"verb":"create"}`,
			`{"skipped":` + strings.Repeat(`[`, depth) + strings.Repeat(`]`, depth) + `,"verb":"create"}`,
			`{"skipped":` + strings.Repeat(`{"a":`, depth) + `"}"` + strings.Repeat(`}`, depth) + `,"verb":"create"}`,
			`{"requestObject":{"spec":{"a":` + strings.Repeat(`[`, depth) + `"yz"` + strings.Repeat(`]`, depth) + `,"b":"last"}}}`,
			`{"requestObject":{"spec":{"a":` + strings.Repeat(`[{"x":[`, depth/3) + `"yz"` + strings.Repeat(`]}]`, depth/3) + `,"b":"last"}}}`,
			`{"verb":` + strings.Repeat(`[`, depth) + `"create"` + strings.Repeat(`]`, depth) + `}`,
		} {
			checkVerdict(t, rules, j, v, amid(text), &envelopes[1])
		}
	}
}

// An object may have more keys than a machine word has bits, and rules may ask for more of them.
func TestManyKeysOfOneObject(t *testing.T) {
	const keys = 200
	var rules []*sigma.Rule
	for i := range keys {
		item := &sigma.Item{Field: fmt.Sprintf("requestObject.data.k%d", i), Values: []sigma.Value{{Text: "last"}}}
		rules = append(rules, &sigma.Rule{ID: fmt.Sprint(i), Detection: sigma.Detection{Selections: []sigma.Selection{{Match: item}}, Condition: sigma.Ref(0)}})
	}
	set := compiled(t, rules)
	j, v := set.NewJudge(), new(engine.Verdict)
	for _, twice := range [][]int{nil, {0}, {63}, {64}, {65}, {127}, {128}, {199}, {0, 64, 128}, {70, 71, 199}} {
		for _, swap := range []bool{false, true} {
			var members []string
			for i := range keys {
				if slices.Contains(twice, i) {
					members = append(members, fmt.Sprintf(`"k%d":"first"`, i))
				}
				members = append(members, fmt.Sprintf(`"k%d":"%s"`, i, []string{"last", "other"}[i%2]))
			}
			if swap {
				slices.Reverse(members)
			}
			checkVerdict(t, rules, j, v, amid(`{"requestObject":{"data":{`+strings.Join(members, ",")+`}},"verb":"get"}`), &envelopes[1])
		}
	}
}
