package cloudwatch

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"golang.org/x/time/rate"
)

// limiter paces the calls to one account and region, whose quota all log groups in it share. It slows down when
// AWS throttles, and speeds up again slowly.
type limiter struct {
	account, region string
	most            rate.Limit
	pace            *rate.Limiter
	mu              sync.Mutex
}

// wait blocks until a call may be made.
func (l *limiter) wait(ctx context.Context) error { return l.pace.Wait(ctx) }

// throttled halves the pace, down to a sixteenth of what the setting allows.
func (l *limiter) throttled() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pace.SetLimit(max(l.pace.Limit()/2, l.most/16))
}

// accepted speeds up by a hundredth.
func (l *limiter) accepted() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := l.pace.Limit(); now < l.most {
		l.pace.SetLimit(min(now+l.most/100, l.most))
	}
}

// limiters has one limiter for each account and region.
type limiters struct {
	most float64
	mu   sync.Mutex
	all  map[string]*limiter
}

func (l *limiters) of(account, region string) *limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := account + "/" + region
	if l.all == nil {
		l.all = make(map[string]*limiter)
	}
	if l.all[key] == nil {
		// A burst of one: evenly spaced calls never exceed a quota that is counted by the second.
		l.all[key] = &limiter{account: account, region: region, most: rate.Limit(l.most), pace: rate.NewLimiter(rate.Limit(l.most), 1)}
	}
	return l.all[key]
}

func (l *limiters) list() []*limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.SortedFunc(maps.Values(l.all), func(a, b *limiter) int {
		return strings.Compare(a.account+"/"+a.region, b.account+"/"+b.region)
	})
}
