data "aws_partition" "current" {}
data "aws_caller_identity" "current" {}
data "aws_region" "current" {}

locals {
  prefix   = "arn:${data.aws_partition.current.partition}:logs:${data.aws_region.current.id}:${data.aws_caller_identity.current.account_id}:log-group"
  log_arns = [for name in var.watched_clusters : "${local.prefix}:/aws/eks/${name}/cluster"]
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "AWS"
      identifiers = [var.foretop_role_arn]
    }

    dynamic "condition" {
      for_each = var.external_id == "" ? [] : [var.external_id]

      content {
        test     = "StringEquals"
        variable = "sts:ExternalId"
        values   = [condition.value]
      }
    }
  }
}

data "aws_iam_policy_document" "read" {
  statement {
    sid       = "ReadAuditLogs"
    actions   = ["logs:FilterLogEvents", "logs:DescribeLogStreams"]
    resources = concat(local.log_arns, [for arn in local.log_arns : "${arn}:*"])
  }

  statement {
    sid       = "ListLogGroups"
    actions   = ["logs:DescribeLogGroups"]
    resources = ["${local.prefix}:*"]
  }
}

resource "aws_iam_role" "reader" {
  name               = var.role_name
  assume_role_policy = data.aws_iam_policy_document.trust.json
  tags               = var.tags
}

resource "aws_iam_role_policy" "read" {
  name   = "read-audit-logs"
  role   = aws_iam_role.reader.id
  policy = data.aws_iam_policy_document.read.json
}
