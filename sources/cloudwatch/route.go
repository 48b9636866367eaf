package cloudwatch

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// callTimeout bounds one call. AWS answers within seconds, or not at all.
const callTimeout = time.Minute

// route is a way to log groups: a region, and the credentials for it. All groups that share it share its clients.
type route struct {
	key   routeKey
	clock *clock

	mu      sync.Mutex
	made    time.Time
	clients *clients
	account string // that the credentials belong to, once known
}

type clients struct {
	logs        *cloudwatchlogs.Client
	sts         *sts.Client
	base        aws.CredentialsProvider // before any role is assumed
	credentials aws.CredentialsProvider
}

// loadConfig reads the environment and the AWS files. It makes no call.
func loadConfig(region string) (aws.Config, error) {
	options := []func(*awsconfig.LoadOptions) error{awsconfig.WithAppID("foretop")}
	if region != "" {
		options = append(options, awsconfig.WithRegion(region))
	}
	cfg, err := awsconfig.LoadDefaultConfig(context.Background(), options...)
	if err != nil {
		return cfg, fmt.Errorf("the settings for AWS cannot be read: %w", err)
	}
	return cfg, nil
}

func newRoute(key routeKey, c *clock) (*route, error) {
	r := &route{key: key, clock: c}
	return r, r.renew()
}

// renewEvery is how often credentials that AWS refuses are read anew from environment and files.
var renewEvery = 30 * time.Second

// renew makes the clients anew, so that files of credentials that changed are read again.
func (r *route) renew() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.made) < renewEvery {
		return nil
	}
	cfg, err := loadConfig(r.key.region)
	if err != nil {
		return err
	}
	c := &clients{base: cfg.Credentials}
	if r.key.role != "" {
		cfg.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), r.key.role, func(o *stscreds.AssumeRoleOptions) {
			o.RoleSessionName = "foretop"
			if r.key.externalID != "" {
				o.ExternalID = aws.String(r.key.externalID)
			}
		}))
	}
	c.credentials = cfg.Credentials
	c.sts = sts.NewFromConfig(cfg)
	// The pace of the account and the repetition of whole passes are ours to decide, so a call is one attempt.
	c.logs = cloudwatchlogs.NewFromConfig(cfg, func(o *cloudwatchlogs.Options) { o.Retryer = aws.NopRetryer{} })
	r.clients, r.made = c, time.Now()
	return nil
}

func (r *route) current() *clients {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.clients
}

// call makes one call with credentials in hand, so that their trouble is told from the call's own.
func (r *route) call(ctx context.Context, do func(ctx context.Context, c *clients) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	c := r.current()
	if _, err := c.credentials.Retrieve(ctx); err != nil {
		r.clock.observe(nil, err)
		return &credentialsError{role: r.key.role, err: err}
	}
	return do(ctx, c)
}

// identify asks AWS whose the credentials are. No permission is needed for that, but a way to STS.
func (r *route) identify(ctx context.Context) (account string, err error) {
	r.mu.Lock()
	account = r.account
	r.mu.Unlock()
	if account != "" {
		return account, nil
	}
	err = r.call(ctx, func(ctx context.Context, c *clients) error {
		out, err := c.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
		if err != nil {
			r.clock.observe(nil, err)
			return err
		}
		r.clock.observe(&out.ResultMetadata, nil)
		account = aws.ToString(out.Account)
		return nil
	})
	if err == nil {
		r.mu.Lock()
		r.account = account
		r.mu.Unlock()
	}
	return account, err
}
