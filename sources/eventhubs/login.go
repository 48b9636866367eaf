package eventhubs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"

	"github.com/foretop/foretop/pkg/kafkaconn"
)

// sharedKey logs in with a connection string. It implements sasl.Mechanism.
type sharedKey struct {
	fixed *connectionString
	file  string // read again at each login, if given
}

// connectionStringUser is the user name that stands for "the password is a connection string". The dollar sign is part
// of it.
const connectionStringUser = "$ConnectionString"

func (k *sharedKey) Name() string { return "PLAIN" }

// Start implements sasl.Mechanism.
func (k *sharedKey) Start(ctx context.Context) (sasl.StateMachine, []byte, error) {
	current, err := k.current()
	if err != nil {
		return nil, nil, err
	}
	return plain.Mechanism{Username: connectionStringUser, Password: current.whole}.Start(ctx)
}

// maxFile bounds what is read of a file with a connection string.
const maxFile = 64 << 10

// current is the connection string as its file holds it now. A file that is being replaced is an error that passes.
func (k *sharedKey) current() (*connectionString, error) {
	if k.file == "" {
		return k.fixed, nil
	}
	info, err := os.Stat(k.file)
	if err == nil && info.Size() > maxFile {
		err = fmt.Errorf("%s is larger than a connection string", k.file)
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(k.file)
	}
	if err != nil {
		return nil, fmt.Errorf("CONNECTION_STRING_FILE: %w", err)
	}
	now, err := parseConnectionString(string(text))
	if err != nil {
		return nil, fmt.Errorf("CONNECTION_STRING_FILE: %s now holds something else: %w", k.file, err)
	}
	if now.namespace != k.fixed.namespace || now.hub != k.fixed.hub {
		return nil, fmt.Errorf("CONNECTION_STRING_FILE: %s now names another namespace or event hub than at the start: restart to read that", k.file)
	}
	return now, nil
}

// token logs in with a token of Microsoft Entra ID. It implements sasl.Mechanism for OAUTHBEARER (RFC 7628).
//
// Each connection asks for a token; the credential keeps it as long as it is valid. The service ends a connection when
// the token that it began with expires.
type token struct {
	credential azcore.TokenCredential
	scope      string
}

// newCredential finds the identity of this process, by the environment variables that the Azure SDKs have in common.
// The authority to ask is the public one or what AZURE_AUTHORITY_HOST says, and not looked up elsewhere: that look-up
// needs one more host through a firewall, and does not know private clouds.
func newCredential() (azcore.TokenCredential, error) {
	return azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{DisableInstanceDiscovery: true})
}

func (t *token) Name() string { return "OAUTHBEARER" }

// Start implements sasl.Mechanism.
func (t *token) Start(ctx context.Context) (sasl.StateMachine, []byte, error) {
	got, err := t.get(ctx)
	if err != nil {
		return nil, nil, err
	}
	return &tokenSession{}, []byte("n,,\x01auth=Bearer " + got.Token + "\x01\x01"), nil
}

func (t *token) get(ctx context.Context) (azcore.AccessToken, error) {
	got, err := t.credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{t.scope}})
	switch {
	case err != nil:
		return got, t.explain(err)
	case got.Token == "" || strings.ContainsAny(got.Token, "\x00\x01"):
		return got, errors.New("the identity got no token that can be sent")
	case !got.ExpiresOn.After(time.Now()):
		return got, fmt.Errorf("the identity got a token that expired at %s: compare the clocks", got.ExpiresOn.UTC().Format(time.RFC3339))
	}
	return got, nil
}

// explain tells what only a human can cure from an authority that is away or busy.
func (t *token) explain(err error) error {
	if failed, ok := errors.AsType[*azidentity.AuthenticationFailedError](err); ok {
		if r := failed.RawResponse; r != nil && r.StatusCode >= 400 && r.StatusCode < 500 && r.StatusCode != http.StatusTooManyRequests && r.StatusCode != http.StatusRequestTimeout {
			return kafkaconn.RefusedLogin("Microsoft Entra ID refused the identity: check AZURE_CLIENT_ID, AZURE_TENANT_ID and its federated credential or secret", err)
		}
	}
	return fmt.Errorf("getting a token for %s: %w", t.scope, err)
}

// tokenSession is one login. The service accepts a token with an empty answer. It refuses one with a JSON object that
// says why, and waits for one byte before it ends the exchange.
type tokenSession struct{ refusal string }

func (s *tokenSession) Next(_ context.Context, challenge []byte) (bool, []byte, error) {
	if s.refusal != "" {
		return false, nil, errors.New("the service went on after it had refused the token")
	}
	if len(challenge) == 0 {
		return true, nil, nil
	}
	s.refusal = string(challenge[:min(len(challenge), 1000)])
	return false, []byte{1}, nil
}

// Refusal is what the service answered to the token; see kafkaconn.Config.
func (s *tokenSession) Refusal() string { return s.refusal }
