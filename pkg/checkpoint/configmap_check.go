package checkpoint

import (
	"context"
	"fmt"
	"net/http"
)

// Check says whether positions could be read and written, and changes nothing: what it sends is a dry run, for
// which the API server asks for the same rights. It does not take the ConfigMap over.
// https://kubernetes.io/docs/reference/using-api/api-concepts/#dry-run
func (c *ConfigMap) Check(ctx context.Context) error {
	const dryRun = "?fieldManager=foretop&dryRun=All"
	_, err := c.read(ctx)
	var o object
	switch {
	case is(err, http.StatusNotFound):
		wanted := object{APIVersion: "v1", Kind: "ConfigMap", Metadata: metadata{Name: c.name}}
		err = c.explain("create", c.api.do(ctx, http.MethodPost, c.path()+dryRun, "application/json", wanted, &o))
	case err == nil:
		err = c.explain("patch", c.api.do(ctx, http.MethodPatch, c.path()+"/"+c.name+dryRun, "application/merge-patch+json", patch{}, &o))
	}
	if err != nil {
		return fmt.Errorf("ConfigMap %s/%s: %w", c.namespace, c.name, err)
	}
	return nil
}
