from unfold.admin import ModelAdmin, TabularInline
from unfold.sites import UnfoldAdminSite

from tests.browser.themes.admins import patterns

urlpatterns = patterns(UnfoldAdminSite(), ModelAdmin, TabularInline)
