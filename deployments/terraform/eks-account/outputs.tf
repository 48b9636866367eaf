output "role_arn" {
  description = "The role to assume: an entry of assume_role_arns of the module eks."
  value       = aws_iam_role.reader.arn
}

output "settings" {
  description = "Variables of a source of Foretop that reads this account."
  value = {
    FORETOP_CLOUDWATCH_REGION     = data.aws_region.current.id
    FORETOP_CLOUDWATCH_LOG_GROUPS = join(",", [for name in var.watched_clusters : "/aws/eks/${name}/cluster"])
    FORETOP_CLOUDWATCH_ROLE_ARN   = aws_iam_role.reader.arn
  }
}
