package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/interactorhq/interactor/deployment"
)

var _ deployment.Store = (*Store)(nil)

// EnsureDeployment implements [deployment.Tree].
func (s *Store) EnsureDeployment(ctx context.Context, o deployment.Organization, d deployment.Deployment, settings []deployment.StoredForwarding) (deployment.Deployment, error) {
	var stands deployment.Deployment
	err := s.writeForwarding(ctx, func(c *conn) error {
		organization, _, err := ensure(c, o.ID,
			c.sql(`SELECT id FROM organization WHERE name = ? AND deleted IS NULL`).text(o.Name),
			c.sql(`INSERT INTO organization (id, name, created) VALUES (?, ?, ?)`).text(o.ID).text(o.Name).time(o.CreatedAt))
		if err != nil {
			return err
		}
		created := make(map[string]bool)
		id, isNew, err := ensure(c, d.ID,
			c.sql(`SELECT id FROM deployment WHERE organization = ? AND name = ? AND deleted IS NULL`).text(organization).text(d.Name),
			c.sql(`INSERT INTO deployment (id, organization, name, created) VALUES (?, ?, ?, ?)`).text(d.ID).text(organization).text(d.Name).time(d.CreatedAt))
		if err != nil {
			return err
		}
		created[id] = isNew
		for _, e := range d.Environments {
			eid, isNew, err := ensure(c, e.ID,
				c.sql(`SELECT id FROM environment WHERE deployment = ? AND name = ? AND deleted IS NULL`).text(id).text(e.Name),
				c.sql(`INSERT INTO environment (id, deployment, name, created) VALUES (?, ?, ?, ?)`).text(e.ID).text(id).text(e.Name).time(e.CreatedAt))
			if err != nil {
				return err
			}
			created[eid] = isNew
		}
		for _, f := range settings {
			if created[f.Owner] && f.Public != nil {
				if err := insertForwarding(c, f); err != nil {
					return err
				}
			}
		}
		stands, err = deploymentByID(c, id)
		return err
	})
	return stands, err
}

// ensure returns the id of the record that has the given id, else of the one
// that byName finds, else of the one that it inserts. It uses up both statements.
func ensure(c *conn, id string, byName, insert *stmt) (found string, created bool, err error) {
	deleted, there, err := recordState(c, id)
	if err != nil || there {
		_, _ = byName.end(nil), insert.end(nil)
	}
	switch {
	case err != nil:
		return "", false, err
	case deleted:
		return "", false, fmt.Errorf("%w: %s was deleted and is still being cleaned up: try again later", deployment.ErrExists, id)
	case there:
		return id, false, nil
	}
	named, err := byName.one(func(r row) { found = r.text(0) })
	if err != nil || named {
		return found, false, errors.Join(err, insert.end(nil))
	}
	_, err = insert.exec()
	return id, true, err
}

// recordState says whether an organization, deployment or environment is there,
// and whether it is marked as deleted.
func recordState(c *conn, id string) (deleted, there bool, err error) {
	table := tableOf(id)
	if table == "" {
		return false, false, nil
	}
	there, err = c.sql(`SELECT deleted IS NOT NULL FROM ` + table + ` WHERE id = ?`).text(id).one(func(r row) { deleted = r.bool(0) })
	return deleted, there, err
}

// tableOf returns one of three constants: nothing of the id gets into the SQL.
func tableOf(id string) string {
	switch {
	case strings.HasPrefix(id, "org_"):
		return "organization"
	case strings.HasPrefix(id, "dep_"):
		return "deployment"
	case strings.HasPrefix(id, "env_"):
		return "environment"
	}
	return ""
}

func exists(c *conn, id string) error {
	deleted, there, err := recordState(c, id)
	if err == nil && (deleted || !there) {
		err = fmt.Errorf("%w: there is no %.64q", deployment.ErrNotFound, id)
	}
	return err
}

const selectDeployment = `SELECT id, organization, name, created FROM deployment `

func scanDeployment(r row) deployment.Deployment {
	return deployment.Deployment{ID: r.text(0), Organization: r.text(1), Name: r.text(2), CreatedAt: r.time(3)}
}

// DeploymentByID implements [deployment.Tree].
func (s *Store) DeploymentByID(ctx context.Context, id string) (d deployment.Deployment, err error) {
	err = s.read(ctx, func(c *conn) error {
		d, err = deploymentByID(c, id)
		return err
	})
	return d, err
}

func deploymentByID(c *conn, id string) (deployment.Deployment, error) {
	if err := exists(c, id); err != nil {
		return deployment.Deployment{}, err
	}
	var d deployment.Deployment
	if _, err := c.sql(selectDeployment + `WHERE deleted IS NULL AND id = coalesce((SELECT deployment FROM environment WHERE id = ?1), ?1)`).
		text(id).one(func(r row) { d = scanDeployment(r) }); err != nil {
		return d, err
	}
	return withEnvironments(c, d)
}

func withEnvironments(c *conn, d deployment.Deployment) (deployment.Deployment, error) {
	err := c.sql(`SELECT e.id, e.deployment, e.name, e.created, k.issued
		FROM environment e LEFT JOIN api_key k ON k.environment = e.id AND k.until IS NULL
		WHERE e.deployment = ? AND e.deleted IS NULL ORDER BY e.seq`).text(d.ID).each(func(r row) error {
		d.Environments = append(d.Environments, scanEnvironment(r))
		return nil
	})
	return d, err
}

func scanEnvironment(r row) deployment.Environment {
	return deployment.Environment{ID: r.text(0), Deployment: r.text(1), Name: r.text(2), CreatedAt: r.time(3), KeyIssuedAt: r.time(4)}
}

// DeploymentByName implements [deployment.Tree].
func (s *Store) DeploymentByName(ctx context.Context, organization, name string) (d deployment.Deployment, err error) {
	err = s.read(ctx, func(c *conn) error {
		found, err := c.sql(selectDeployment + `WHERE deleted IS NULL AND name = ?
			AND organization = (SELECT id FROM organization WHERE name = ? AND deleted IS NULL)`).
			text(name).text(organization).one(func(r row) { d = scanDeployment(r) })
		if err != nil {
			return err
		}
		if !found {
			return fmt.Errorf("%w: there is no deployment %q of %q", deployment.ErrNotFound, name, organization)
		}
		d, err = withEnvironments(c, d)
		return err
	})
	return d, err
}

// OrganizationsAfter implements [deployment.Tree].
func (s *Store) OrganizationsAfter(ctx context.Context, after deployment.Organization, limit int) (list []deployment.Organization, err error) {
	err = s.read(ctx, func(c *conn) error {
		return c.sql(`SELECT id, name, created FROM organization WHERE deleted IS NULL AND (created, id) > (?, ?) ORDER BY created, id LIMIT ?`).
			int(behind(after.CreatedAt)).text(after.ID).int(int64(limit)).each(func(r row) error {
			list = append(list, deployment.Organization{ID: r.text(0), Name: r.text(1), CreatedAt: r.time(2)})
			return nil
		})
	})
	return list, err
}

// DeploymentsAfter implements [deployment.Tree].
func (s *Store) DeploymentsAfter(ctx context.Context, organization string, after deployment.Deployment, limit int) (list []deployment.Deployment, err error) {
	err = s.read(ctx, func(c *conn) error {
		where := `WHERE deleted IS NULL AND (created, id) > (?1, ?2) ORDER BY created, id LIMIT ?3`
		if organization != "" {
			where = `WHERE organization = ?4 AND deleted IS NULL AND (created, id) > (?1, ?2) ORDER BY created, id LIMIT ?3`
		}
		query := c.sql(selectDeployment + where).int(behind(after.CreatedAt)).text(after.ID).int(int64(limit))
		if organization != "" {
			query = query.text(organization)
		}
		if err := query.each(func(r row) error {
			list = append(list, scanDeployment(r))
			return nil
		}); err != nil {
			return err
		}
		for i := range list {
			if list[i], err = withEnvironments(c, list[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return list, err
}

// behind is time for a comparison, in which NULL would hide everything.
func behind(t time.Time) int64 {
	if t.IsZero() {
		return -1 << 62
	}
	return t.UnixMilli()
}

// SetName implements [deployment.Tree].
func (s *Store) SetName(ctx context.Context, id, name string) error {
	return s.write(ctx, func(c *conn) error {
		if err := exists(c, id); err != nil {
			return err
		}
		_, err := c.sql(`UPDATE ` + tableOf(id) + ` SET name = ? WHERE id = ?`).text(name).text(id).exec()
		if isUnique(err) {
			return fmt.Errorf("%w: %q", deployment.ErrExists, name)
		}
		return err
	})
}

// MarkDeleted implements [deployment.Tree].
func (s *Store) MarkDeleted(ctx context.Context, id string, at time.Time) (environments []string, err error) {
	err = s.writeForwarding(ctx, func(c *conn) error {
		environments = nil
		if err := exists(c, id); err != nil {
			return err
		}
		below := map[string]string{
			"organization": `deployment IN (SELECT id FROM deployment WHERE organization = ?)`,
			"deployment":   `deployment = ?`,
			"environment":  `id = ?`,
		}[tableOf(id)]
		if err := c.sql(`SELECT id FROM environment WHERE deleted IS NULL AND ` + below + ` ORDER BY seq`).text(id).each(func(r row) error {
			environments = append(environments, r.text(0))
			return nil
		}); err != nil {
			return err
		}
		for _, e := range environments {
			if err := markEnvironmentDirty(c, e, at); err != nil {
				return err
			}
			if err := run(
				c.sql(`DELETE FROM api_key WHERE environment = ?`).text(e),
				c.sql(`DELETE FROM forwarding WHERE owner = ?`).text(e),
				c.sql(`UPDATE environment SET deleted = ? WHERE id = ?`).time(at).text(e),
			); err != nil {
				return err
			}
		}
		if tableOf(id) == "organization" {
			if err := run(
				c.sql(`DELETE FROM forwarding WHERE owner IN (SELECT id FROM deployment WHERE organization = ?)`).text(id),
				c.sql(`UPDATE deployment SET deleted = ? WHERE deleted IS NULL AND organization = ?`).time(at).text(id),
			); err != nil {
				return err
			}
		} else if _, err := c.sql(`DELETE FROM forwarding WHERE owner = ?`).text(id).exec(); err != nil {
			return err
		}
		if _, err := c.sql(`UPDATE ` + tableOf(id) + ` SET deleted = ? WHERE id = ?`).time(at).text(id).exec(); err != nil {
			return err
		}
		return prune(c)
	})
	return environments, err
}

// prune removes marked parents with nothing below them.
func prune(c *conn) error {
	return run(
		c.sql(`DELETE FROM deployment WHERE deleted IS NOT NULL AND NOT EXISTS (SELECT 1 FROM environment e WHERE e.deployment = deployment.id)`),
		c.sql(`DELETE FROM organization WHERE deleted IS NOT NULL AND NOT EXISTS (SELECT 1 FROM deployment d WHERE d.organization = organization.id)`),
	)
}

// run executes statements until one fails.
func run(statements ...*stmt) error {
	var err error
	for _, st := range statements {
		if err != nil {
			_ = st.end(nil)
			continue
		}
		_, err = st.exec()
	}
	return err
}

// DeletedEnvironments implements [deployment.Tree].
func (s *Store) DeletedEnvironments(ctx context.Context, after string, limit int) (ids []string, err error) {
	err = s.read(ctx, func(c *conn) error {
		return c.sql(`SELECT id FROM environment WHERE deleted IS NOT NULL AND id > ? ORDER BY id LIMIT ?`).
			text(after).int(int64(limit)).each(func(r row) error {
			ids = append(ids, r.text(0))
			return nil
		})
	})
	return ids, err
}

// EraseEnvironment implements [deployment.Tree].
func (s *Store) EraseEnvironment(ctx context.Context, id string) error {
	return s.writeRouting(ctx, func(c *conn) error {
		if _, err := c.sql(`DELETE FROM environment WHERE id = ? AND deleted IS NOT NULL`).text(id).exec(); err != nil {
			return err
		}
		return prune(c)
	})
}
