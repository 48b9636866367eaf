package checkpoint

import (
	"strings"
	"testing"
)

func TestACheckOfAConfigMapTriesTheRightsAndChangesNothing(t *testing.T) {
	f := newFakeAPI(t)
	c := f.open(t)
	if err := c.Check(t.Context()); err != nil {
		t.Errorf("one that could be made: %v", err)
	}
	f.change(func() {
		if len(f.objects) != 0 {
			t.Error("it was made by asking")
		}
		f.denied["create"] = true
	})
	if err := c.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "kubectl -n foretop create configmap positions") {
		t.Errorf("without the right to make one: %v", err)
	}
	f.change(func() { f.denied["create"] = false })
	put(t, f.open(t), "a", "1")
	before := ""
	f.change(func() { before = f.objects[fakePath+"/positions"].Metadata.ResourceVersion })
	if err := c.Check(t.Context()); err != nil {
		t.Errorf("one that is there: %v", err)
	}
	f.change(func() {
		if now := f.objects[fakePath+"/positions"].Metadata.ResourceVersion; now != before {
			t.Errorf("version %s became %s", before, now)
		}
	})
	for _, verb := range []string{"get", "patch"} {
		f.change(func() { f.denied[verb] = true })
		if err := c.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "may not "+verb) {
			t.Errorf("without %s: %v", verb, err)
		}
		f.change(func() { f.denied[verb] = false })
	}
}
