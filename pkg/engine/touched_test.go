package engine

import "testing"

// TestWhatAJSONPatchMayHaveWrittenIsTouched: the API server reads indexes and pointers in more ways than RFC 6902 has,
// and each step counts in the list that the steps before it left.
func TestWhatAJSONPatchMayHaveWrittenIsTouched(t *testing.T) {
	const pod = "/spec/template/spec"
	const deployment = `{"kind":"Deployment","spec":{"template":{"spec":{"volumes":[{"name":"v"}],"containers":[{"name":"a"},{"name":"b"},{"name":"c","volumeMounts":[{"name":"v"}]}]}}}}`
	step := func(op, path, more string) string { return `{"op":"` + op + `","path":"` + path + `"` + more + `}` }
	const privileged = `,"value":{"privileged":true}`
	container, volume := `container.name: `, `volume.name: `
	for _, c := range []struct {
		name, steps, record string
		want                bool
	}{
		{"an index", step("add", pod+"/containers/1/securityContext", privileged), container + "b", true},
		{"another index", step("add", pod+"/containers/1/securityContext", privileged), container + "a", false},
		{"-1, the last", step("add", pod+"/containers/-1/securityContext", privileged), container + "c", true},
		{"01", step("add", pod+"/containers/01/securityContext", privileged), container + "b", true},
		{"+1", step("add", pod+"/containers/+1/securityContext", privileged), container + "b", true},
		{"moved on by what is added before it", step("add", pod+"/containers/0/securityContext", privileged) + "," + step("add", pod+"/containers/0", `,"value":{"name":"a"}`), container + "b", true},
		{"what is added itself", step("add", pod+"/containers/0", `,"value":{"name":"a"}`), container + "a", true},
		{"behind what is added", step("add", pod+"/containers/0", `,"value":{"name":"a"}`), container + "b", false},
		{"moved back by what is removed before it", step("add", pod+"/containers/2/securityContext", privileged) + "," + step("remove", pod+"/containers/0", ""), container + "b", true},
		{"behind what is removed", step("remove", pod+"/containers/0", ""), container + "a", false},
		{"at a number that another had before", step("add", pod+"/containers/1/securityContext", privileged) + "," + step("remove", pod+"/containers/1", ""), container + "b", false},
		{"moved within the list", step("move", pod+"/containers/0", `,"from":"`+pod+`/containers/2"`), container + "a", true},
		{"copied from elsewhere", step("copy", pod+"/containers/1/securityContext", `,"from":"`+pod+`/containers/0/securityContext"`), container + "b", true},
		{"the pod's context is moved away", step("move", "/metadata/annotations/x", `,"from":"`+pod+`/securityContext"`), container + "a", true},
		{"the whole object", step("replace", "", `,"value":`+deployment), container + "b", true},
		{"something before the first slash", step("add", "x"+pod+"/containers/1/securityContext", privileged), container + "b", true},
		{"a test changes nothing", step("test", pod+"/containers/1/securityContext", privileged), container + "b", false},
		{"a mount is copied", step("copy", pod+"/containers/0/volumeMounts/-", `,"from":"`+pod+`/containers/2/volumeMounts/0"`), volume + "v", true},
		{"a container with mounts is copied", step("copy", pod+"/containers/0", `,"from":"`+pod+`/containers/2"`), volume + "v", true},
		{"a mount is removed", step("remove", pod+"/containers/2/volumeMounts/0", ""), volume + "v", false},
	} {
		category := "container"
		if c.record[:6] == "volume" {
			category = "volume"
		}
		rule := derivedRule(category, "s: {"+c.record+", record.touched: true}\ncondition: s")
		doc := `{"verb":"patch","objectRef":{"resource":"deployments","apiGroup":"apps"},"responseStatus":{"code":200},"requestObject":[` + c.steps + `],"responseObject":` + deployment + `}`
		if got := len(judge(compile(t, rule), doc).Matches) == 1; got != c.want {
			t.Errorf("%s: touched %v, want %v", c.name, got, c.want)
		}
	}
}

func TestAStrategicMergeThatKeepsNothingElseTouchesEverything(t *testing.T) {
	touched := compile(t, derivedRule("pod", "s: {record.touched: true}\ncondition: s"))
	inherits := compile(t, derivedRule("container", "s: {container.name: a, record.touched: true}\ncondition: s"))
	for _, c := range []struct {
		patch          string
		pod, container bool
	}{
		{`{"spec":{"$patch":"replace","containers":[{"name":"b"}]}}`, true, true},
		{`{"$retainKeys":["spec"],"spec":{"containers":[]}}`, true, true},
		{`{"spec":{"$setElementOrder/containers":[{"name":"a"}],"containers":[]}}`, false, false},
		{`{"spec":{"containers":[{"name":"b","$patch":"replace"}]}}`, false, false},
		{`{"metadata":{"$patch":"replace","name":"x"},"spec":{"containers":[]}}`, false, false},
		{`{"spec":{"$deleteFromPrimitiveList/x":["a"],"containers":[{"name":"b"}]}}`, true, false},
		{`{"spec":{"securityContext":{"runAsUser":0},"containers":[{"name":"other"}]}}`, true, true},
	} {
		doc := `{"verb":"patch","objectRef":{"resource":"pods"},"responseStatus":{"code":200},"requestObject":` + c.patch + `,"responseObject":{"kind":"Pod","spec":{"containers":[{"name":"a"},{"name":"b"}]}}}`
		if got := len(judge(touched, doc).Matches) == 1; got != c.pod {
			t.Errorf("the pod is touched: %v, want %v, by %s", got, c.pod, c.patch)
		}
		if got := len(judge(inherits, doc).Matches) == 1; got != c.container {
			t.Errorf("a container is touched: %v, want %v, by %s", got, c.container, c.patch)
		}
	}
}

func TestWhatIsAddedToAListDoesNotHideWhatAnotherStepAdded(t *testing.T) {
	add := func(path, name string) string {
		return `{"op":"add","path":"` + path + `","value":{"name":"` + name + `"}}`
	}
	for _, path := range []string{"/spec/containers/0", "/spec/containers/-1", "/spec/containers/-", "/spec/containers/00"} {
		doc := `{"verb":"patch","objectRef":{"resource":"pods"},"requestObject":[` + add(path, "evil") + "," + add(path, "good") + `]}`
		if v := judge(compile(t, derivedRule("container", "s: {container.name: evil}\ncondition: s")), doc); len(v.Matches) != 1 {
			t.Errorf("%s: %+v", path, v)
		}
	}
}
