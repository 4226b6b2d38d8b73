"""Staff accounts. Admins keep them, and can't make themselves, or anybody, more than admins."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, Permission, User
from django.db.models import ManyToManyField, QuerySet
from django.forms import CheckboxSelectMultiple, ModelMultipleChoiceField
from django.http import HttpRequest
from django_otp import devices_for_user
from django_otp.plugins.otp_totp.models import TOTPDevice
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from offload_project.staff import roles

if TYPE_CHECKING:  # at run time Django's class takes no parameter, and the theme's has no types
    _UserAdmin = UserAdmin[User]
    _GroupAdmin = GroupAdmin
    _SeveralPermissions = ModelMultipleChoiceField[Permission]
else:
    _SeveralPermissions = ModelMultipleChoiceField

    class _UserAdmin(UserAdmin, ModelAdmin):
        form, add_form, change_password_form = UserChangeForm, UserCreationForm, AdminPasswordChangeForm

    class _GroupAdmin(GroupAdmin, ModelAdmin):
        pass


class _Permissions(_SeveralPermissions):
    """Permissions to tick, in words. Only those that pages ask for: others allow nothing here."""

    def __init__(self, **options: Any) -> None:
        known = Permission.objects.filter(roles.ASKED_FOR).select_related("content_type")
        given = {"queryset": known, "widget": CheckboxSelectMultiple}
        super().__init__(**{**options, **given})

    def label_from_instance(self, permission: Any) -> str:
        """For example `case: change`, for cases.change_case."""
        act = permission.codename.partition("_")[0]
        return f"{permission.content_type.name}: {'see' if act == 'view' else act}"


LOST_WITH_A_ROLE = (
    "Whoever has it may no longer do what it allowed. The next upgrade makes the service's own roles anew."
)


class _Named:
    """What the pages of an account, or of a role, are headed; Django speaks of users and groups."""

    one: str
    many: str

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        named = {"title": self.many.capitalize(), **(extra_context or {})}
        return super().changelist_view(request, named)  # type: ignore[misc]

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        title = self.one.capitalize() if object_id else f"New {self.one}"
        named = {"title": title, "list_title": self.many, **(extra_context or {})}
        return super().changeform_view(request, object_id, form_url, named)  # type: ignore[misc]

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        named = {"title": "What staff did here", "list_title": self.many, **(extra_context or {})}
        return super().history_view(request, object_id, named)  # type: ignore[misc]


admin.site.unregister(User)
admin.site.unregister(Group)
admin.site.unregister(TOTPDevice)  # its page shows the secret


@admin.register(User)
class StaffAdmin(_Named, _UserAdmin):
    """Only a superuser changes a superuser, hands out single permissions, or gives a group that is no role."""

    one, many = "account", "staff"
    search_help_text = "User name, name or e-mail address"
    list_display = ("username", "email", "role", "is_active", "is_superuser", "last_login")
    list_filter = ("is_active", "is_superuser", "groups")
    actions = ("remove_second_factor",)
    filter_horizontal = ()  # Django's pair of lists is not for screen readers
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": ("first_name", "last_name", "email")}),
        ("What they may do", {"fields": ("is_active", "is_staff", "groups")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    superuser_fieldset = ("Superuser", {"fields": ("is_superuser", "user_permissions")})
    add_fieldsets = ((None, {"fields": ("username", "usable_password", "password1", "password2")}),)

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("groups")

    @admin.display(description="Role")
    def role(self, user: User) -> str:
        return ", ".join(group.name for group in user.groups.all()) or "–"

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        return (*fieldsets, self.superuser_fieldset) if obj and request.user.is_superuser else fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        return ("last_login", "date_joined")

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return _may_change(request, obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Nobody: what somebody has done stays theirs. An account is made inactive instead."""
        return False

    def formfield_for_manytomany(
        self, db_field: "ManyToManyField[Any, Any]", request: HttpRequest, **options: Any
    ) -> Any:
        if db_field.name == "groups":
            options["widget"] = CheckboxSelectMultiple
        if db_field.name == "groups" and not request.user.is_superuser:
            options["queryset"] = Group.objects.filter(name__in=roles.ROLES)
        if db_field.name == "user_permissions":
            options["form_class"] = _Permissions
        return super().formfield_for_manytomany(db_field, request, **options)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        if not change:
            obj.is_staff = True  # these accounts are for nothing else
        super().save_model(request, obj, form, change)

    @admin.action(description="Remove the second factor (a lost telephone)", permissions=["change"])
    def remove_second_factor(self, request: HttpRequest, users: QuerySet[User]) -> None:
        """They log in by password alone, until they set up another one."""
        for user in users:
            devices = list(devices_for_user(user, confirmed=None)) if _may_change(request, user) else []
            if not devices:
                messages.warning(request, f"Nothing was removed from {user}.")
                continue
            for device in devices:
                device.delete()
            self.log_change(request, user, "Removed the second factor")
            messages.success(request, f"The second factor of {user} is removed.")


def _may_change(request: HttpRequest, user: User | None) -> bool:
    return user is None or not user.is_superuser or request.user.is_superuser


@admin.register(Group)
class RoleAdmin(_Named, _GroupAdmin):
    """For superusers: no role has permissions on groups."""

    one, many = "role", "roles"
    search_help_text = "Name"
    list_display = ("role",)
    filter_horizontal = ()

    def formfield_for_manytomany(
        self, db_field: "ManyToManyField[Any, Any]", request: HttpRequest | None = None, **options: Any
    ) -> Any:
        return super().formfield_for_manytomany(db_field, request, form_class=_Permissions, **options)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        named = {"title": self.one.capitalize(), "list_title": self.many}
        deletion = {"delete_words": "Delete the role", "delete_follows": LOST_WITH_A_ROLE}
        return super().delete_view(request, object_id, {**named, **deletion, **(extra_context or {})})

    @admin.display(description="Role", ordering="name")
    def role(self, group: Group) -> str:
        return group.name
