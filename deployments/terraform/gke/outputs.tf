output "service_account_email" {
  description = "The identity of the pod: annotate the Kubernetes service account with iam.gke.io/gcp-service-account."
  value       = google_service_account.foretop.email
}

output "settings" {
  description = "Variables for Foretop."
  value = {
    FORETOP_PUBSUB_SUBSCRIPTIONS = google_pubsub_subscription.audit.id
  }
}
