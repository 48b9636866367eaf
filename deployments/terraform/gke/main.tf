data "google_project" "this" {
  project_id = var.project
}

locals {
  identity_project = coalesce(var.identity_project, var.project)
  logs             = [for log in ["activity", "data_access"] : "\"projects/${var.project}/logs/cloudaudit.googleapis.com%2F${log}\""]
  of_clusters      = length(var.clusters) == 0 ? [] : ["resource.labels.cluster_name=(${join(" OR ", [for name in var.clusters : "\"${name}\""])})"]
  filter           = join(" AND ", concat(["logName=(${join(" OR ", local.logs)})", "protoPayload.serviceName=\"k8s.io\""], local.of_clusters))
  pubsub_agent     = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}

# What was acknowledged stays readable for foretop scan --source pubsub --since.
resource "google_pubsub_topic" "audit" {
  project                    = var.project
  name                       = var.name
  message_retention_duration = "604800s"
}

resource "google_logging_project_sink" "audit" {
  project                = var.project
  name                   = var.name
  destination            = "pubsub.googleapis.com/${google_pubsub_topic.audit.id}"
  filter                 = local.filter
  unique_writer_identity = true
}

resource "google_pubsub_topic_iam_member" "sink" {
  project = var.project
  topic   = google_pubsub_topic.audit.name
  role    = "roles/pubsub.publisher"
  member  = google_logging_project_sink.audit.writer_identity
}

# Messages that no replica survives. Foretop itself acknowledges what it cannot judge, and keeps it with its dead letters.
resource "google_pubsub_topic" "undeliverable" {
  project = var.project
  name    = "${var.name}-undeliverable"
}

resource "google_pubsub_subscription" "undeliverable" {
  project                    = var.project
  name                       = "${var.name}-undeliverable"
  topic                      = google_pubsub_topic.undeliverable.id
  message_retention_duration = "604800s"

  expiration_policy {
    ttl = "" # never
  }
}

resource "google_pubsub_subscription" "audit" {
  project                    = var.project
  name                       = var.name
  topic                      = google_pubsub_topic.audit.id
  ack_deadline_seconds       = 60
  message_retention_duration = "604800s" # how long Foretop or Elasticsearch may be down

  expiration_policy {
    ttl = "" # never
  }

  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.undeliverable.id
    max_delivery_attempts = 50 # restarts count too
  }

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  # Without these rights Pub/Sub would count attempts and never move a message.
  depends_on = [google_pubsub_topic_iam_member.undeliverable]
}

resource "google_pubsub_topic_iam_member" "undeliverable" {
  project = var.project
  topic   = google_pubsub_topic.undeliverable.name
  role    = "roles/pubsub.publisher"
  member  = local.pubsub_agent
}

resource "google_pubsub_subscription_iam_member" "agent" {
  project      = var.project
  subscription = google_pubsub_subscription.audit.name
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub_agent
}

resource "google_service_account" "foretop" {
  project      = local.identity_project
  account_id   = var.name
  display_name = "Foretop: reads Kubernetes audit logs"
}

resource "google_service_account_iam_member" "workload_identity" {
  service_account_id = google_service_account.foretop.name
  role               = "roles/iam.workloadIdentityUser"
  member             = "serviceAccount:${local.identity_project}.svc.id.goog[${var.namespace}/${var.service_account}]"
}

# Reading, and for foretop doctor looking at the subscription.
resource "google_pubsub_subscription_iam_member" "foretop" {
  for_each = toset(["roles/pubsub.subscriber", "roles/pubsub.viewer"])

  project      = var.project
  subscription = google_pubsub_subscription.audit.name
  role         = each.value
  member       = google_service_account.foretop.member
}

resource "google_project_iam_audit_config" "gke" {
  count = var.data_access ? 1 : 0

  project = var.project
  service = "container.googleapis.com"

  dynamic "audit_log_config" {
    for_each = ["ADMIN_READ", "DATA_READ", "DATA_WRITE"]

    content {
      log_type         = audit_log_config.value
      exempted_members = var.data_access_exempted_members
    }
  }
}

resource "google_project_iam_custom_role" "scan" {
  count = length(var.scanners) > 0 ? 1 : 0

  project     = var.project
  role_id     = "foretopScan"
  title       = "Foretop scan"
  description = "Reads the past of a topic through a subscription of its own."
  permissions = [
    "pubsub.subscriptions.consume",
    "pubsub.subscriptions.create",
    "pubsub.subscriptions.delete",
    "pubsub.subscriptions.get",
    "pubsub.topics.attachSubscription",
  ]
}

resource "google_project_iam_member" "scan" {
  for_each = toset(var.scanners)

  project = var.project
  role    = google_project_iam_custom_role.scan[0].id
  member  = each.value
}
