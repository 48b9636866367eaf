package pipeline

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestTroublesShowWhatIsSureAtOnceAndTheRestWhenItLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h Troubles
		h.Note("b", errors.New("passing"), false)
		if err := h.Err(time.Now()); err != nil {
			t.Errorf("at once: %v", err)
		}
		time.Sleep(TroubleGrace)
		if err := h.Err(time.Now()); err == nil || err.Error() != "passing" {
			t.Errorf("after the grace: %v", err)
		}
		h.Note("a", errors.New("sure"), true)
		h.Note("a", errors.New("still"), false)
		if err := h.Err(time.Now()); err == nil || err.Error() != "still" {
			t.Errorf("sure trouble: %v", err)
		}
		if !h.Clear("a") || !h.Clear("b") || h.Clear("b") {
			t.Error("Clear does not say whether there was trouble")
		}
		if err := h.Err(time.Now()); err != nil {
			t.Errorf("all is well, and health is %v", err)
		}
	})
}
