package engine

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/foretop/foretop/pkg/event"
)

// Every field of every record kind is worked out for every record, and none of it leaves the judge's own memory.
func TestRecordsAreWorkedOutWithoutAllocating(t *testing.T) {
	var rules []string
	for _, c := range event.Categories[1:] {
		var items []string
		for _, f := range event.Fields {
			if f.Derived && slices.Contains(f.In, c) && !strings.HasSuffix(f.Path, "*") {
				items = append(items, "- "+f.Path+"|contains: no such text")
			}
		}
		for _, field := range opened[c] {
			items = append(items, "- "+field+": no such text")
		}
		rules = append(rules, numbered(len(rules), string(c), "a:\n  "+strings.Join(items, "\n  ")+"\ncondition: a"))
	}
	set := compile(t, rules...)
	const spec = `{"hostPID":true,"serviceAccountName":"s","securityContext":{"runAsUser":0,"seccompProfile":{"type":"Unconfined"}},
		"containers":[{"name":"a","image":"Registry.example:5000/a/b:1@sha256:c0ffee","command":["sh"],"volumeMounts":[{"name":"v","readOnly":true}]},{"name":"b","image":"nginx"}],
		"initContainers":[{"name":"i","image":"a/b"}],"volumes":[{"name":"v","hostPath":{"path":"//var/../etc/./x/"}},{"name":"w"}]}`
	const meta = `"metadata":{"name":"a\u0041","ownerReferences":[{"controller":true,"kind":"ReplicaSet","apiVersion":"apps/v1","name":"r"}]}`
	pod := `{"kind":"Pod",` + meta + `,"spec":` + spec + `}`
	deployment := `{"kind":"Deployment",` + meta + `,"spec":{"template":{` + meta + `,"spec":` + spec + `}}}`
	for name, doc := range map[string]string{
		"pod":         write("create", "pods", "", pod, pod),
		"deployment":  write("update", "deployments", "apps", deployment, deployment),
		"merge patch": write("patch", "deployments", "apps", `{"spec":{"template":{"spec":{"containers":[{"name":"a","image":"x"}],"volumes":[{"name":"w"}]}}}}`, deployment),
		"JSON patch":  write("patch", "pods", "", `[{"op":"replace","path":"/spec/containers/0/image","value":"x"},{"op":"add","path":"/metadata/labels/a~1b","value":"x"}]`, pod),
		"custom kind": write("create", "rollouts", "argoproj.io", `{"spec":{"groups":[{"template":{`+meta+`,"spec":`+spec+`}}]}}`, ""),
		"binding":     write("create", "rolebindings", "rbac.authorization.k8s.io", `{"roleRef":{"kind":"Role","name":"r"},"subjects":[{"kind":"ServiceAccount","name":"a","namespace":"b"}]}`, ""),
		"role":        write("create", "roles", "rbac.authorization.k8s.io", `{"rules":[{"verbs":["get"],"resources":["pods"]}]}`, ""),
	} {
		t.Run(name, func(t *testing.T) {
			text, j, v, env := []byte(doc), set.NewJudge(), new(Verdict), envelope()
			if j.Judge(text, env, v); len(v.Matches) != 0 || j.element.category == event.Request {
				t.Fatalf("%d matches; the last record was of kind %q", len(v.Matches), j.element.category)
			}
			if n := testing.AllocsPerRun(10, func() { j.Judge(text, env, v) }); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

// opened are fields of what lies open in each record kind.
var opened = map[event.Category][]string{
	event.Pod:        {"metadata.labels.app", "pod.metadata.name", "pod.hostPID", "pod.containers.image"},
	event.Container:  {"container.command", "container.securityContext.runAsUser", "container.securityContext.seccompProfile.type"},
	event.Volume:     {"volume.hostPath.path"},
	event.Subject:    {"subject.kind", "roleRef.name"},
	event.PolicyRule: {"rule.verbs"},
}

// numbered is derivedRule with an id of its own.
func numbered(number int, category, detection string) string {
	return strings.Replace(derivedRule(category, detection), "11111111", fmt.Sprintf("%08d", number), 1)
}

func TestPathsAreCleanedAsPackagePathDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.SampledFrom([]rune("//..ab\\é"))).Draw(t, "path")
		j := &Judge{arena: []byte("before")}
		if got, want := string(j.cleanPath([]byte(text))), path.Clean("/"+text); got != want {
			t.Fatalf("%q gives %q, want %q", text, got, want)
		}
		if !strings.HasPrefix(string(j.arena), "before") {
			t.Fatalf("%q overwrote what was there", text)
		}
	})
}

func TestImagesAreTakenApart(t *testing.T) {
	for ref, want := range map[string][4]string{
		"nginx":                             {"docker.io", "library/nginx", "", ""},
		"nginx:1@sha256:a":                  {"docker.io", "library/nginx", "1", "sha256:a"},
		"a/b:1":                             {"docker.io", "a/b", "1", ""},
		"localhost/b":                       {"localhost", "b", "", ""},
		"Index.Docker.io/b":                 {"docker.io", "library/b", "", ""},
		"REGISTRY.example:5000/A/b:tag@d:e": {"registry.example:5000", "A/b", "tag", "d:e"},
		"ÄÖ.example/b":                      {"äö.example", "b", "", ""},
		"docker.io/":                        {"docker.io", "library/", "", ""},
		"":                                  {"docker.io", "library/", "", ""},
	} {
		i := new(Judge).parseImage([]byte(ref))
		if got := [4]string{string(i.registry), string(i.repository), string(i.tag), string(i.digest)}; got != want {
			t.Errorf("%q gives %q, want %q", ref, got, want)
		}
	}
}

func TestOfWhatIsInheritedTheLastOfTwoKeysHolds(t *testing.T) {
	set := compile(t, derivedRule("container", "a:\n  container.securityContext.seccompProfile.type: Unconfined\n  image.repository: library/b\ncondition: a"))
	pod := func(types string) string {
		return write("create", "pods", "", `{"kind":"Pod","spec":{"securityContext":{"seccompProfile":{`+types+`}},"containers":[{"name":"a","image":"a"},{"name":"b","image":"b","image":"b"}]}}`, "")
	}
	for types, want := range map[string]int{`"type":"Unconfined"`: 1, `"type":"Localhost","type":"Unconfined"`: 1, `"type":"Unconfined","type":"Localhost"`: 0} {
		if got := len(judge(set, pod(types)).Matches); got != want {
			t.Errorf("%s: %d matches, want %d", types, got, want)
		}
	}
}

// More texts than the memory of regular expressions has places for, long and short, in two items that differ.
func TestVerdictsOfRegularExpressionsAreThoseOfTheirText(t *testing.T) {
	set := compile(t, numbered(1, "container", "a:\n  container.image|re: '^(x{100})?[0-9]*7$'\ncondition: a"), numbered(2, "container", "a:\n  container.image|re: '^(x{100})?7[0-9]*$'\ncondition: a"))
	j, v := set.NewJudge(), new(Verdict)
	for round := range 2 {
		for n := range 2 * searchedTexts {
			number := fmt.Sprint(n)
			image := number
			if n%3 == 0 {
				image = strings.Repeat("x", 100) + number
			}
			j.Judge([]byte(write("create", "pods", "", `{"kind":"Pod","spec":{"containers":[{"image":"`+image+`"}]}}`, "")), envelope(), v)
			want := 0
			if strings.HasSuffix(number, "7") {
				want++
			}
			if strings.HasPrefix(number, "7") {
				want++
			}
			if len(v.Matches) != want {
				t.Fatalf("round %d: %s gives %d matches, want %d", round, image, len(v.Matches), want)
			}
		}
	}
}
